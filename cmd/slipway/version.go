package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker for a release.
var version = "0.1.0-dev"

func newVersion(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Long:    `Print slipway's version, the revision that it was built from, and Go's.`,
		Example: `  slipway version`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			revision := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						revision = s.Value
					}
				}
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(map[string]string{
					"version": version, "revision": revision, "go": runtime.Version(), "arch": runtime.GOARCH,
				})
			}
			_, err := fmt.Fprintf(env.Stdout, "slipway %s (%s, %s, %s)\n", version, revision, runtime.Version(), runtime.GOARCH)
			return err
		},
	}
}
