package main

import "github.com/spf13/cobra"

// verbs is the table of the command line: adding a verb is adding a line.
var verbs = []func(*Env) *cobra.Command{
	newUp, newDown, newTest, newLs, newShell, newWith, newInspect, newLogs, newConsole, newCp,
	newBuild, newLock, newUpdate, newOutdated, newCheck, newWhy, newSchema, newVersion,
}
