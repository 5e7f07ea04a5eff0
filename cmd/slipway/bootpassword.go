package main

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/web"
)

func newBootPassword(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "password",
		Short: "Make the hash for serve --password-file",
		Long: `Read a password from standard input, one line, and print its hash, for the file
that serve --password-file names.`,
		Example: `  slipway boot password > page.hash`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			line, err := bufio.NewReader(env.Stdin).ReadString('\n')
			line = strings.TrimRight(line, "\r\n")
			if line == "" {
				return errors.Join(errors.New("no password came on standard input"), err)
			}
			hash, err := web.HashPassword(line)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(env.Stdout, hash)
			return err
		},
	}
}
