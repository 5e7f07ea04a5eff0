package main

import (
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newCp(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "cp FROM TO",
		Short: "Copy files between the host and a machine; NAME:/path is in the machine",
		Long: `Copy a file or a folder. A target that is a folder gets it under its own name. In
the machine everything belongs to root and keeps its permissions; each file is
replaced in one step.`,
		Example: `  slipway cp ./site hello:/var/www/html
  slipway cp hello:/etc/nginx/nginx.conf .`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			fromName, fromPath, fromInside := strings.Cut(args[0], ":/")
			toName, toPath, toInside := strings.Cut(args[1], ":/")
			if fromInside == toInside {
				return usageError("name one file on the host and one in a machine, as NAME:/path")
			}
			name := toName
			if fromInside {
				name = fromName
			}
			m, err := supervisor.Find("", name)
			if err != nil {
				return err
			}
			if fromInside {
				return m.CopyOut(cmd.Context(), "/"+fromPath, args[1])
			}
			return m.CopyIn(cmd.Context(), args[0], "/"+toPath)
		},
	}
}
