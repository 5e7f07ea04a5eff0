package main

import "github.com/spf13/cobra"

// verbs is the table of the command line: adding a verb is adding a line.
var verbs = []func(*Env) *cobra.Command{
	newUp, newDown, newBuild, newTest, newPlan,
	newLock, newUpdate, newOutdated, newCheck, newWhy, newSize, newDiff, newRepro,
	newShell, newSSH, newConnect, newCp, newLogs, newLs, newInspect, newConsole, newWith, newReset, newSnapshot,
	newEnable, newDisable, newWrite, newStick, newServe, newBoot, newReinstall, newWake, newExport, newImport, newStore, newDoctor, newSchema, newVersion, newCompletion,
}
