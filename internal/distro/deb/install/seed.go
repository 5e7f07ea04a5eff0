package install

import (
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"
)

// SeedConfig is what a tree holds before its first package.
type SeedConfig struct {
	Release string // "trixie"; for messages
	// Sources are the files that tell the machine's apt where packages come
	// from: name without leading slash to content. Folders are made as needed.
	Sources map[string]string
	// Users and Groups are numbers that an earlier build recorded (IDMap).
	// See CompareIDs.
	Users, Groups map[string]int
	// Recommends is what apt in the machine does by itself; nothing is
	// written for it, because that is apt's default.
	Recommends bool
}

// seedDirs are the folders that mmdebstrap makes, which apt and dpkg want to
// find before the packages that own them are there.
var seedDirs = []string{
	"etc/apt/apt.conf.d", "etc/apt/sources.list.d", "etc/apt/preferences.d", "var/cache/apt",
	"var/lib/apt/lists/partial", "tmp", adminDir, "etc/dpkg/dpkg.cfg.d", "var/log/apt",
	triggersDir, infoDir, adminDir + "/alternatives", adminDir + "/updates",
}

// Seed prepares an empty tree: folders, the architectures, an empty package
// database, /etc/fstab and the given files. What exists is left alone. As in
// mmdebstrap nothing is done about merged folders (/bin and its kin): the
// packages of the release bring the links themselves.
func (in *Installer) Seed(s SeedConfig) error {
	if err := in.seed(s); err != nil {
		return fmt.Errorf("preparing the tree: %w", err)
	}
	return in.db.load()
}

func (in *Installer) seed(s SeedConfig) error {
	if err := in.applyRoot(attrs{Mode: 0o755, MTime: in.opt.Epoch}); err != nil {
		return err
	}
	for _, name := range seedDirs {
		if err := in.root.MkdirAll(name, 0o755); err != nil {
			return err
		}
	}
	if err := unix.Fchmodat(in.root.FD, "tmp", 0o1777, 0); err != nil {
		return err
	}
	arch := in.opt.Arch + "\n"
	for _, a := range in.opt.Foreign {
		arch += a + "\n"
	}
	files := map[string]string{
		statusFile:         "",
		adminDir + "/arch": arch,
		"etc/fstab":        "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n",
	}
	for name, content := range s.Sources {
		files[name] = content
	}
	for name, content := range files {
		if err := in.seedFile(name, content); err != nil {
			return err
		}
	}
	return nil
}

func (in *Installer) seedFile(name, content string) error {
	if _, err := in.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := in.root.MkdirAll(dirOf(name), 0o755); err != nil {
		return err
	}
	return in.root.Write(name, []byte(content), 0o644)
}
