package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"slipway/internal/netboot/token"
)

func newBootSticks(env *Env, state *string) *cobra.Command {
	var revoke string
	cmd := &cobra.Command{
		Use:   "sticks",
		Short: "List the boot sticks that may ask the server, or revoke one",
		Long: `List the boot sticks that slipway stick --serve has made: the machine that each
is, when it was made, when and from where it was used last. A stick is good until
it is revoked; a revoked one is refused, and that is shown. The server must run.`,
		Example: `  slipway boot sticks
  slipway boot sticks --revoke 3fa2c11b09de`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if revoke != "" {
				var done struct{}
				return env.askServer(cmd.Context(), *state, http.MethodDelete, "/sticks/"+url.PathEscape(revoke), &done)
			}
			var list []token.Stick
			if err := env.askServer(cmd.Context(), *state, http.MethodGet, "/sticks", &list); err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(list)
			}
			w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tMACHINE\tMADE\tUSED\tFROM")
			for _, s := range list {
				used, from := "never", ""
				if !s.Used.IsZero() {
					used, from = s.Used.Local().Format("2006-01-02 15:00"), s.Address.String()
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.ID, plain(s.Machine), s.Made.Local().Format("2006-01-02 15:04"), used, from)
			}
			return w.Flush()
		},
	}
	cmd.Flags().StringVar(&revoke, "revoke", "", "revoke the stick with this `ID`")
	return cmd
}
