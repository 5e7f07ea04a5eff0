package main

import (
	"io"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

// newConnect is what the ssh configuration calls as ProxyCommand.
func newConnect(env *Env) *cobra.Command {
	var user string
	cmd := &cobra.Command{
		Use:    "connect NAME PORT",
		Short:  "Pass standard input and output on to a port of a machine",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := supervisor.Find("", args[0])
			if err != nil {
				return ownFailure(err)
			}
			reach, err := m.Reach(cmd.Context())
			if err != nil {
				return ownFailure(err)
			}
			defer reach.Close()
			if user != "" {
				if _, _, err := reach.PrepareSSH(cmd.Context(), user); err != nil {
					return ownFailure(err)
				}
			}
			conn, err := reach.DialSSH(cmd.Context(), args[1])
			if err != nil {
				return ownFailure(err)
			}
			defer conn.Close()
			go io.Copy(conn, env.Stdin) // the end of it is told by the end of the connection
			_, err = io.Copy(env.Stdout, conn)
			return ownFailure(err)
		},
	}
	cmd.Flags().StringVar(&user, "user", "", "let slipway's ssh key in as this user first")
	return cmd
}
