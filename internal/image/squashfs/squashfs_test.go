package squashfs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

func TestConformance(t *testing.T) {
	for _, w := range []Writer{{}, {Compression: Gzip}, {Compression: XZ}, {BlockSize: 4 << 10}, {BlockSize: 1 << 20, Level: 1}} {
		t.Run(fmt.Sprint(w.Compression, w.BlockSize), func(t *testing.T) {
			imagetest.Run(t, imagetest.Format{Writer: w, Suffix: ".squashfs", Read: readWithoutSockets, Judges: judges(), Lost: lost})
		})
	}
}

// lost takes away what squashfs cannot hold: times before 1970.
func lost(m *tree.Manifest) {
	for i := range m.Entries {
		e := &m.Entries[i]
		e.MTime, e.MNsec = max(e.MTime, 0), 0
	}
}

// readWithoutSockets is Read without what the kit leaves out.
func readWithoutSockets(path string) (*tree.Manifest, tree.Content, error) {
	m, c, err := Read(path)
	if err == nil {
		m.Entries = slices.DeleteFunc(m.Entries, func(e tree.Entry) bool { return e.Type == tree.Socket })
	}
	return m, c, err
}

func judges() []imagetest.Judge {
	return []imagetest.Judge{{
		Name:      "unsquashfs",
		Available: func() string { return missing("unsquashfs") },
		Extract: func(image, dir string) error {
			if err := run("unsquashfs", "-stat", image); err != nil {
				return err
			}
			if os.Geteuid() != 0 { // it cannot make devices, and says so with 2
				return accept(2, run("unsquashfs", "-no-progress", "-quiet", "-force", "-dest", dir, image))
			}
			return run("unsquashfs", "-no-progress", "-quiet", "-force", "-dest", dir, image)
		},
		Lost: func(m *tree.Manifest) {
			for i := range m.Entries {
				if os.Geteuid() != 0 { // it gives those bits only to root
					m.Entries[i].Mode &^= 0o6000
				}
			}
		},
	}, {
		Name:      "kernel",
		Available: noMount,
		Extract: func(image, dir string) error {
			mnt := dir + ".mnt"
			if err := os.Mkdir(mnt, 0o700); err != nil {
				return err
			}
			if err := run("mount", "-t", "squashfs", "-o", "ro,loop", image, mnt); err != nil {
				return err
			}
			defer run("umount", mnt)
			return run("cp", "-a", mnt+"/.", dir)
		},
	}}
}

func missing(program string) string {
	if _, err := exec.LookPath(program); err != nil {
		return program + " is not installed"
	}
	return ""
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// accept takes an exit code for success.
func accept(code int, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == code {
		return nil
	}
	return err
}
