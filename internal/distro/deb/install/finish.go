package install

import (
	"errors"
	"fmt"
	"io/fs"
)

// leftovers are files that only the build needed, or that differ from build to
// build. It is mmdebstrap's list; status-old and the journals of dpkg stay.
var leftovers = []string{
	"var/log/dpkg.log", "var/log/apt/history.log", "var/log/apt/term.log", "var/log/alternatives.log",
	"var/log/apt/eipp.log.xz", "var/cache/ldconfig/aux-cache", "var/lib/dbus/machine-id",
	policyRC,
}

// emptied are folders whose content goes; the value is a name that stays.
var emptied = map[string]string{"run": "lock", "tmp": ""}

// Finish removes what only the build needed. It is the last call on a tree;
// calling it twice does no harm.
func (in *Installer) Finish() error {
	in.root.Forget()
	if err := in.unguard(); err != nil {
		return fmt.Errorf("finishing the tree: %w", err)
	}
	for _, name := range leftovers {
		if err := in.root.Remove(name); err != nil {
			return fmt.Errorf("finishing the tree: %w", err)
		}
	}
	for dir, keep := range emptied {
		if err := in.empty(dir, keep); err != nil {
			return fmt.Errorf("finishing the tree: %w", err)
		}
	}
	if err := in.aptFolders(); err != nil {
		return fmt.Errorf("finishing the tree: %w", err)
	}
	if err := in.root.RemoveMinted(func(name string) bool { return len(in.db.files[name]) > 0 }); err != nil {
		return fmt.Errorf("removing keys that every machine makes for itself: %w", err)
	}
	if err := in.settleKeystore(); err != nil {
		return fmt.Errorf("settling the dates of Java's certificates: %w", err)
	}
	if err := in.root.FillDev(in.opt.Epoch); err != nil {
		return fmt.Errorf("finishing the tree: %w", err)
	}
	if err := in.machineID(); err != nil {
		return fmt.Errorf("finishing the tree: %w", err)
	}
	return nil
}

func (in *Installer) empty(dir, keep string) error {
	names, err := in.root.List(dir)
	if err != nil {
		return err
	}
	for _, n := range names {
		if n == keep {
			continue
		}
		if err := in.root.RemoveAll(dir + "/" + n); err != nil {
			return err
		}
	}
	return nil
}

// machineID makes the file empty if it is there, as machine-id(5) wants it in
// an image that is started more than once.
func (in *Installer) machineID() error {
	const name = "etc/machine-id"
	if _, err := in.root.Lstat(name); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return in.root.Write(name, nil, 0o644)
}
