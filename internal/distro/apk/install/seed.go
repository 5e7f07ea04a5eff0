package install

import (
	"fmt"
	"path"
	"sort"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/intree"
	"slipway/internal/tree"
)

// skeleton is what apk add --initdb makes of an empty folder.
var skeleton = []struct {
	path string
	mode uint32
}{
	{"tmp", 0o1777}, {"dev", 0o755}, {"etc", 0o755}, {"etc/apk", 0o755}, {"lib", 0o755}, {"lib/apk", 0o755}, {dbDir, 0o755},
	{"var", 0o755}, {"var/cache", 0o755}, {"var/cache/apk", 0o755}, {"var/cache/misc", 0o755}, {"proc", 0o555},
}

var nodes = []tree.Entry{
	{Path: "dev/null", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 3},
	{Path: "dev/zero", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 5},
	{Path: "dev/random", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 8},
	{Path: "dev/urandom", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 9},
	{Path: "dev/console", Type: tree.Char, Mode: 0o600, Major: 5, Minor: 1},
}

// Seed makes an empty tree one of apk's: files are what the machine's apk is
// told, by path.
func (in *Installer) Seed(arch string, files map[string]string) error {
	if err := unix.Fchmodat(in.root.FD, ".", 0o755, 0); err != nil {
		return fmt.Errorf("seeding the tree: %w", err)
	}
	for _, d := range skeleton {
		if err := in.root.MkdirAll(d.path, 0o755); err != nil {
			return fmt.Errorf("seeding the tree: %w", err)
		}
		if err := unix.Fchmodat(in.root.FD, d.path, d.mode, 0); err != nil {
			return fmt.Errorf("seeding the tree: %w", err)
		}
	}
	for i := range nodes {
		if err := in.node(&nodes[i]); err != nil {
			return fmt.Errorf("seeding the tree: /%s: %w", nodes[i].Path, err)
		}
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := in.root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return fmt.Errorf("seeding the tree: %w", err)
		}
		if err := in.root.Write(name, []byte(files[name]), 0o644); err != nil {
			return fmt.Errorf("seeding the tree: %w", err)
		}
	}
	if err := in.root.Write("etc/apk/arch", []byte(arch+"\n"), 0o644); err != nil {
		return fmt.Errorf("seeding the tree: %w", err)
	}
	if err := in.root.Write(dbDir+"/lock", nil, 0o600); err != nil {
		return fmt.Errorf("seeding the tree: %w", err)
	}
	return in.save("\n")
}

// node makes a device node, or notes it for the manifest.
func (in *Installer) node(e *tree.Entry) error {
	d, base, err := in.root.Parent(e.Path)
	if err != nil {
		return err
	}
	a := intree.Attrs{Mode: e.Mode, MTime: in.opt.Epoch}
	err = intree.MakeNode(d.FD, base, e)
	if err == unix.EPERM {
		in.root.LeaveOut(e, e.Path, a)
		return nil
	}
	if err != nil {
		return err
	}
	return in.root.Apply(d.FD, base, e.Type, a)
}
