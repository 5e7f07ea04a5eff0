package install

import (
	"context"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/apk/murmur"
)

// Finish ends a transaction: folders get the permissions that their packages
// agree on, triggers run in the order of packages, by name, and the database is
// written.
func (in *Installer) Finish(ctx context.Context, world, order []string) error {
	text := strings.Join(world, "\n") + "\n"
	if !in.changed() && text == in.db.world {
		return nil
	}
	if err := in.permissions(); err != nil {
		return err
	}
	if err := in.runTriggers(ctx, order); err != nil {
		return err
	}
	if err := in.save(text); err != nil {
		return fmt.Errorf("writing the package database: %w", err)
	}
	for _, r := range in.db.packages {
		r.fresh = false
	}
	for _, d := range in.db.order {
		d.hit = false
	}
	return nil
}

// changed tells whether this transaction has installed something.
func (in *Installer) changed() bool {
	for _, r := range in.db.packages {
		if r.fresh {
			return true
		}
	}
	return false
}

// permissions gives folders that are apk's to set what their owners agree on.
func (in *Installer) permissions() error {
	for _, d := range in.db.order {
		if !d.update || d.path == "" {
			continue
		}
		st, err := in.root.Lstat(d.path)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue // a script has put something else there
		}
		dir, base, err := in.root.Parent(d.path)
		if err != nil {
			return err
		}
		if int(st.Uid) != d.uid || int(st.Gid) != d.gid {
			err = in.root.Chown(d.uid, d.gid, func() error {
				return unix.Fchownat(dir.FD, base, d.uid, d.gid, unix.AT_SYMLINK_NOFOLLOW)
			})
		}
		if err == nil {
			err = unix.Fchmodat(dir.FD, base, d.mode, 0)
		}
		if err != nil {
			return fmt.Errorf("setting the permissions of /%s: %w", d.path, err)
		}
	}
	return nil
}

// runTriggers tells packages of the folders that changed and that they watch.
// One that was installed just now is told of all.
func (in *Installer) runTriggers(ctx context.Context, order []string) error {
	pending := map[*record][]string{}
	for _, d := range murmur.Order(in.db.order, func(d *folder) string { return d.path }) {
		for _, r := range in.db.triggers {
			if (r.fresh || d.hit) && r.watches("/"+d.path) {
				pending[r] = append(pending[r], "/"+d.path)
			}
		}
	}
	for _, name := range order {
		r := in.db.find(name)
		if r == nil || len(pending[r]) == 0 {
			continue
		}
		in.opt.Step("running the trigger of " + name)
		if err := in.script(ctx, r, "trigger", pending[r]...); err != nil {
			return err
		}
	}
	return nil
}

func (r *record) watches(dir string) bool {
	for _, pattern := range r.triggers {
		if !strings.HasPrefix(pattern, "/") {
			continue
		}
		if ok, err := path.Match(pattern, dir); err == nil && ok {
			return true
		}
	}
	return false
}

// Clean removes what only the build needed, and what every machine must have of
// its own. Calling it twice does no harm.
func (in *Installer) Clean() error {
	in.root.Forget()
	for _, dir := range []string{"tmp", "run"} {
		names, err := in.root.List(dir)
		if err != nil {
			return fmt.Errorf("finishing the tree: %w", err)
		}
		for _, name := range names {
			if in.db.folders[dir+"/"+name] != nil {
				continue
			}
			if err := in.root.RemoveAll(dir + "/" + name); err != nil {
				return fmt.Errorf("finishing the tree: %w", err)
			}
		}
	}
	if err := in.root.RemoveMinted(func(name string) bool { return in.db.files[name] != nil }); err != nil {
		return fmt.Errorf("removing keys that every machine makes for itself: %w", err)
	}
	return nil
}
