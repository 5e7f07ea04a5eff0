package apply

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// slimmed is one thing that a machine can go without.
type slimmed struct {
	folder string // all below it goes, the folder stays
	// keep tells what stays, by its path below the folder.
	keep func(d *machine.Definition, rel string) bool
	// exclude is what dpkg is told, so that later packages obey too.
	exclude []string
}

var slims = map[string]slimmed{
	"docs": {folder: "usr/share/doc", keep: func(_ *machine.Definition, rel string) bool { return path.Base(rel) == "copyright" },
		exclude: []string{"path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright"}},
	"man":  {folder: "usr/share/man", exclude: []string{"path-exclude=/usr/share/man/*"}},
	"info": {folder: "usr/share/info", exclude: []string{"path-exclude=/usr/share/info/*"}},
	"locales": {folder: "usr/share/locale", keep: keepsLocale,
		exclude: []string{"path-exclude=/usr/share/locale/*", "path-include=/usr/share/locale/locale.alias"}},
	"apt_lists": {folder: "var/lib/apt/lists"},
}

// keepsLocale keeps the translations into the machine's own language.
func keepsLocale(d *machine.Definition, rel string) bool {
	first, _, _ := strings.Cut(rel, "/")
	language, _, _ := strings.Cut(d.Locale, ".")
	short, _, _ := strings.Cut(language, "_")
	return first == "locale.alias" || d.Locale != "" && (first == language || first == short)
}

// applySlim removes what the machine goes without. Copyright files stay: most
// licences ask for them.
func applySlim(_ context.Context, j *job) error {
	if len(j.def.Slim) == 0 {
		return nil
	}
	root, err := os.OpenRoot(j.dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var told []string
	for _, what := range sortedCopy(j.def.Slim) {
		s, ok := slims[what]
		if !ok {
			return fmt.Errorf("nothing is known that is called %q", what)
		}
		if err := thin(root, s, j.def); err != nil {
			return fmt.Errorf("leaving out %s: %w", what, err)
		}
		told = append(told, s.exclude...)
	}
	if len(told) > 0 && j.isDir("/etc/dpkg/dpkg.cfg.d") {
		return j.writeText("/etc/dpkg/dpkg.cfg.d/slipway-slim", strings.Join(told, "\n")+"\n", plainFile)
	}
	return nil
}

// thin removes all below a folder but what is kept, and folders left empty.
func thin(root *os.Root, s slimmed, d *machine.Definition) error {
	var dirs []string
	err := fs.WalkDir(root.FS(), s.folder, func(name string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case name == s.folder:
			return nil
		case e.IsDir():
			dirs = append(dirs, name)
			return nil
		case s.keep != nil && s.keep(d, strings.TrimPrefix(name, s.folder+"/")):
			return nil
		}
		return root.Remove(name)
	})
	if err != nil {
		return err
	}
	for _, dir := range slices.Backward(dirs) {
		if left, err := fs.ReadDir(root.FS(), dir); err == nil && len(left) == 0 {
			if err := root.Remove(dir); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedCopy(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}
