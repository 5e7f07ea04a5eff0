package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/build"
	"slipway/internal/image/formats"
	"slipway/internal/plan"
)

func newSize(env *Env) *cobra.Command {
	var flags buildFlags
	var class string
	var limit int
	cmd := &cobra.Command{
		Use:   "size FILE",
		Short: "List the largest packages and files of a machine or an image",
		Long: `List what a machine's bytes are spent on: its largest packages and files. FILE is
a definition, which is built, or an image or folder, of which only files are
known. Leave things out with slim, and hold a bound with max_size.`,
		Example: "  slipway size web.yaml\n  slipway size web.tar.zst",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := env.sizes(cmd, args[0], flags, plan.Class(class), limit)
			if err != nil {
				return err
			}
			if env.opt.json {
				return json.NewEncoder(env.Stdout).Encode(s)
			}
			return printSizes(env.Stdout, s)
		},
	}
	cmd.Flags().StringVar(&class, "for", string(plan.Plain), "`CLASS` of packages: plain, container, bootable")
	cmd.Flags().IntVarP(&limit, "number", "n", 15, "list at most `N` packages and files; 0: all")
	flags.add(cmd)
	return cmd
}

func (e *Env) sizes(cmd *cobra.Command, file string, flags buildFlags, class plan.Class, limit int) (*build.Sizes, error) {
	st, err := os.Stat(file)
	if err == nil && (st.IsDir() || formats.Check(file) == nil && filepath.Ext(file) != ".yaml") {
		m, _, err := formats.Read(cmd.Context(), file)
		if err != nil {
			return nil, err
		}
		return build.SizeOf(m, limit), nil
	}
	b, result, err := e.build(cmd.Context(), file, flags, class)
	if err != nil {
		return nil, err
	}
	return b.Size(cmd.Context(), result, limit)
}

func printSizes(w io.Writer, s *build.Sizes) error {
	var out strings.Builder
	list := func(title string, items []build.SizedAs) {
		if len(items) == 0 {
			return
		}
		fmt.Fprintf(&out, "\n%s\n", title)
		for _, it := range items {
			name := it.Name
			if name == "" {
				name = "(no package)"
			}
			fmt.Fprintf(&out, "%9s  %s\n", megabytes(it.Bytes), name)
		}
	}
	fmt.Fprintf(&out, "%s in the files of %d entries\n", megabytes(s.Bytes), s.Entries)
	list("largest packages", s.Packages)
	list("largest files", s.Files)
	_, err := io.WriteString(w, out.String())
	return err
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
