package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"slipway/internal/web"
)

func newReinstall(env *Env) *cobra.Command {
	var state string
	cmd := &cobra.Command{
		Use:   "reinstall NODE",
		Short: "Let a machine of the boot server be installed once more",
		Long: `Let a machine with netboot: {mode: install} be installed again: at its next start
from the network its disk is written anew, whatever is on it. It holds for one
installation, and for a day. NODE is its name, or a hardware address. The server
is told while it runs; when it does not, its records are changed.`,
		Example: `  slipway reinstall node1`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("name one machine (slipway boot ls lists them)")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := env.reinstall(cmd.Context(), state, args[0]); err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(map[string]any{"machine": args[0], "granted": "install"})
			}
			_, err := fmt.Fprintf(env.Stdout, "%s is installed when it starts from the network next; its disk is written anew\n", plain(args[0]))
			return err
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "`DIR` of the server's records (default: serve/INTERFACE/records in the store)")
	return cmd
}

// reinstall asks as the page's button does.
func (e *Env) reinstall(ctx context.Context, state, name string) (err error) {
	p, err := e.fleetPage(ctx, state)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	path := "/api/machines/" + url.PathEscape(name)
	var d web.Detail
	if err := p.ask(ctx, http.MethodGet, path, "", &d); err != nil {
		return err
	}
	if d.Row.Mode != "install" {
		return fmt.Errorf("%s is no machine that is installed (netboot: {mode: install})", plain(name))
	}
	var info struct{ CSRF string }
	if err := p.ask(ctx, http.MethodGet, "/api/info", "", &info); err != nil {
		return err
	}
	return p.ask(ctx, http.MethodPost, path+"/reinstall", info.CSRF, new(struct{}))
}
