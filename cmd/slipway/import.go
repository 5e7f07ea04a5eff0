package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/netboot/answer/anaconda"
)

func newImport(env *Env) *cobra.Command {
	var out, system string
	cmd := &cobra.Command{
		Use:   "import KICKSTART [-o FILE]",
		Short: "Make a definition from a kickstart, such as anaconda-ks.cfg",
		Long: `Turn a kickstart, such as the /root/anaconda-ks.cfg that an installation leaves,
into a definition. What a definition cannot say becomes a comment, and a warning on
standard error with the kickstart's line. Scripts of %post that run inside the
installed system become commands of run.

Hashes of passwords never stand in a definition: with -o they are written beside it,
USER.hash with mode 0600, which the definition refers to; without -o the warning says
which files to make. Plain passwords are not taken over.`,
		Example: `  slipway import anaconda-ks.cfg -o mm1.yaml
  slipway import - --system rocky/9 < anaconda-ks.cfg`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return env.importKickstart(args[0], out, system) },
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "`FILE` of the definition (default: standard output)")
	cmd.Flags().StringVar(&system, "system", "", "`SYSTEM` of the machine where no address tells it (default alma/9)")
	return cmd
}

func (e *Env) importKickstart(path, out, system string) error {
	text, err := e.readInput(path)
	if err != nil {
		return fmt.Errorf("reading the kickstart: %w", err)
	}
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if path == "-" {
		path = "standard input"
	}
	got, err := anaconda.Import(string(text), anaconda.Options{Name: name, System: system})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for _, w := range got.Warnings {
		fmt.Fprintf(e.Stderr, "warning: %s:%s\n", path, strings.TrimPrefix(w, "0:"))
	}
	if out == "" {
		for _, user := range slices.Sorted(maps.Keys(got.Hashes)) {
			fmt.Fprintf(e.Stderr, "warning: put the hash of %s's password into %s beside the definition, or use -o\n", user, anaconda.HashFile(user))
		}
		_, err = e.Stdout.Write(got.YAML)
		return err
	}
	return e.writeImported(got, out)
}

// readInput reads a file, or standard input for "-", as far as a text may go.
func (e *Env) readInput(path string) ([]byte, error) {
	var in io.Reader = e.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, 2<<20))
}

// writeImported writes the definition and what it refers to, and replaces
// nothing.
func (e *Env) writeImported(got *anaconda.Imported, out string) error {
	files := map[string][]byte{out: got.YAML}
	for user, hash := range got.Hashes {
		files[filepath.Join(filepath.Dir(out), anaconda.HashFile(user))] = []byte(hash + "\n")
	}
	names := slices.Sorted(maps.Keys(files))
	for _, name := range names {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is there already; remove it, or name another file with -o", name)
		}
	}
	for _, name := range names {
		mode := os.FileMode(0o600)
		if name == out {
			mode = 0o644
		}
		if err := os.WriteFile(name, files[name], mode); err != nil {
			return fmt.Errorf("writing the definition: %w", err)
		}
	}
	if e.opt.json {
		return json.NewEncoder(e.Stdout).Encode(map[string]any{"machine": got.Name, "files": names, "warnings": got.Warnings})
	}
	_, err := fmt.Fprintln(e.Stdout, strings.Join(names, "\n"))
	return err
}
