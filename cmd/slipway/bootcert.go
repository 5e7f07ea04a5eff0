package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/spf13/cobra"
)

// newCertAnswer is a machine's certificate and its key, in PEM.
type newCertAnswer struct {
	PEM string `json:"pem"`
}

func newBootCert(env *Env, state *string) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "cert NODE",
		Short: "Make a client certificate for a machine",
		Long: `Make a certificate for a machine, with its key, in one file that only you may
read. Over HTTPS it proves the machine to slipway serve; with
--require-client-cert secrets are given to nobody else. It is good for two years.
The server must run with --https-port.`,
		Example: `  slipway boot cert node1
  slipway boot cert node1 --out /media/usb/node1.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			file := out
			if file == "" {
				file = args[0] + ".pem"
			}
			var made newCertAnswer
			if err := env.askServer(cmd.Context(), *state, http.MethodPost, "/certificates/"+url.PathEscape(args[0]), &made); err != nil {
				return err
			}
			f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return fmt.Errorf("writing the certificate of %s: %w", args[0], err)
			}
			_, err = f.WriteString(made.PEM)
			if err = errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("writing the certificate of %s: %w", args[0], err)
			}
			fmt.Fprintln(env.Stdout, file)
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write it to this `FILE`; default: NODE.pem")
	return cmd
}
