package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/fleet"
	"slipway/internal/web"
)

func newBoot(env *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "boot",
		Short: "See how machines boot over the network, and why one does not",
		Long: `What slipway serve has seen of its machines. It is asked while it runs; when it
does not, its records are read.`,
		Example: `  slipway boot ls
  slipway boot why node1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	var state string
	cmd.PersistentFlags().StringVar(&state, "state", "", "`DIR` of the server's records (default: serve/INTERFACE/records in the store)")
	cmd.AddCommand(newBootLs(env, &state), newBootWhy(env, &state), newBootSticks(env, &state), newBootCert(env, &state), newBootPassword(env))
	return cmd
}

func newBootLs(env *Env, state *string) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List the machines with how far their boot is",
		Long: `List the machines that slipway serve knows: state (proven, waiting, stuck, off,
unknown), the furthest stage of which there is evidence, progress, and when each
was last heard. With --json an array, as /api/machines of the page has it.`,
		Example: `  slipway boot ls
  slipway boot ls --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var list struct{ Machines []web.Row }
			if err := env.askFleet(cmd.Context(), *state, "/api/machines", &list); err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(list.Machines)
			}
			w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "NAME\tSTATE\tSTAGE\tPROGRESS\tPROBES\tADDRESS\tHEARD\tPROBLEM")
			for _, m := range list.Machines {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", plain(m.ID), m.State, m.Stage, progressOf(m), probesOf(m), plain(m.Address), heardOf(m), plain(cmp.Or(m.Problem, m.Note)))
			}
			return w.Flush()
		},
	}
}

func newBootWhy(env *Env, state *string) *cobra.Command {
	var events bool
	cmd := &cobra.Command{
		Use:   "why NODE",
		Short: "Say why a machine does not come up: what is missing, the cause, the cure",
		Long: `Say how far the last boot of a machine came, the first step of which there is no
evidence, the cause as far as it was seen, and what helps. NODE is its name or a
hardware address. Exit status 0: it is up, or on its way; 1: it is stuck.`,
		Example: `  slipway boot why node1
  slipway boot why 52:54:00:12:34:56 --events
  slipway boot why node1 --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("name one machine (slipway boot ls lists them)")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/api/machines/" + url.PathEscape(args[0])
			var d web.Detail
			if err := env.askFleet(cmd.Context(), *state, path, &d); err != nil {
				return err
			}
			if env.opt.json {
				if err := json.NewEncoder(env.Stdout).Encode(d.Why); err != nil {
					return err
				}
			} else {
				env.printWhy(d, events)
			}
			if d.Why.State == fleet.StateStuck {
				return &statusError{status: exitFailed}
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&events, "events", false, "print all that was seen of the last boot, and its console")
	return cmd
}

func (e *Env) printWhy(d web.Detail, events bool) {
	out := e.Stdout
	if events {
		for _, ev := range d.Events {
			fmt.Fprintf(out, "%s  %-16s %s\n", ev.Time.Local().Format("15:04:05.000"), plain(ev.Kind), plain(strings.TrimSpace(ev.Problem+" "+ev.Text)))
		}
		for _, line := range d.Console {
			fmt.Fprintln(out, plain(line))
		}
		fmt.Fprintln(out)
	}
	if len(d.Boots) > 0 {
		for _, s := range d.Boots[0].Steps {
			fmt.Fprintf(out, "  %-9s after %v\n", s.Stage, s.After.Round(time.Millisecond))
		}
	}
	a := d.Why
	if a.Note != "" {
		fmt.Fprintf(out, "%s\n", plain(a.Note))
	}
	switch a.State {
	case fleet.StateProven:
		fmt.Fprintf(out, "%s is proven.\n", plain(a.Machine))
		return
	case fleet.StateWaiting:
		fmt.Fprintf(out, "%s is on its way: next is %s.\n", plain(a.Machine), a.Missing)
		return
	case fleet.StateNever:
		fmt.Fprintf(out, "%s was never seen.\n", plain(a.Machine))
	default:
		fmt.Fprintf(out, "%s is stuck: there is no evidence of %s.\n", plain(a.Machine), a.Missing)
	}
	fmt.Fprintf(out, "cause: %s\n", a.Text)
	if a.Detail != "" {
		fmt.Fprintf(out, "  seen: %s\n", plain(a.Detail))
	}
	fmt.Fprintf(out, "cure:  %s\n", plain(a.Cure))
}

func progressOf(m web.Row) string {
	if m.Total <= 0 || m.State == "proven" {
		return ""
	}
	return fmt.Sprintf("%d%%", 100*m.Bytes/m.Total)
}

func probesOf(m web.Row) string {
	if m.Probes == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", m.ProbesOK, m.Probes)
}

func heardOf(m web.Row) string {
	if m.Heard == nil {
		return "never"
	}
	return time.Since(*m.Heard).Round(time.Second).String() + " ago"
}

// plain keeps what machines say from moving the cursor.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '·'
		}
		return r
	}, s)
}
