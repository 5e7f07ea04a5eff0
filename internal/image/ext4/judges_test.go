package ext4

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

// find looks where normal users' PATH does not.
func find(program string) string {
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if p, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return p
		}
	}
	return ""
}

func missing(programs ...string) string {
	for _, p := range programs {
		if find(p) == "" {
			return p + " is not installed"
		}
	}
	return ""
}

func need(t *testing.T, programs ...string) {
	t.Helper()
	if why := missing(programs...); why != "" {
		t.Skip(why)
	}
}

func run(name string, args ...string) (string, error) {
	cmd := exec.Command(find(name), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %q: %w\n%s", name, args, err, out)
	}
	return string(out), nil
}

func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := run(name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mounted runs a shell script where the image is mounted at its first
// argument, in a mount namespace of its own.
func mounted(img, options, script string, args ...string) (string, error) {
	at, err := os.MkdirTemp("", "ext4")
	if err != nil {
		return "", err
	}
	defer os.Remove(at) // only the empty folder is visible here
	mount := `mount -t ext4 -o "loop,$2" "$1" "$3" && shift 2 && ` + script
	return run("unshare", append([]string{"--mount", "sh", "-c", mount, "sh", img, options, at}, args...)...)
}

// canMount tries it once.
var canMount = sync.OnceValue(func() string {
	if os.Geteuid() != 0 {
		return "mounting needs root"
	}
	if why := missing("mke2fs", "unshare", "mount"); why != "" {
		return why
	}
	dir, err := os.MkdirTemp("", "ext4")
	if err != nil {
		return err.Error()
	}
	defer os.RemoveAll(dir)
	img := filepath.Join(dir, "x")
	if _, err := run("mke2fs", "-q", "-t", "ext4", img, "4M"); err != nil {
		return err.Error()
	}
	if _, err := mounted(img, "ro", "true"); err != nil {
		return "the kernel does not mount ext4 here: " + err.Error()
	}
	return ""
})

func judges() []imagetest.Judge {
	return []imagetest.Judge{{
		Name: "Linux",
		Available: func() string {
			if why := missing("e2fsck"); why != "" {
				return why
			}
			return canMount()
		},
		Extract: func(image, dir string) error {
			if _, err := run("e2fsck", "-fn", image); err != nil {
				return err
			}
			_, err := mounted(image, "ro", `rmdir "$2" && cp -a "$1" "$2"`, dir)
			return err
		},
		Lost: noLostFound,
	}, {
		Name:      "debugfs",
		Available: func() string { return missing("debugfs", "e2fsck") },
		Extract: func(image, dir string) error {
			if _, err := run("e2fsck", "-fn", image); err != nil {
				return err
			}
			_, err := run("debugfs", "-R", "rdump / "+dir, image)
			return err
		},
		Lost: func(m *tree.Manifest) { // what rdump leaves out
			noLostFound(m)
			kept := m.Entries[:0]
			for _, e := range m.Entries {
				if e.Type != tree.File && e.Type != tree.Dir && e.Type != tree.Symlink {
					continue
				}
				e.Xattrs, e.Link, e.MNsec, e.Mode = nil, "", 0, e.Mode&0o777
				if e.MTime &= 1<<32 - 1; e.Type == tree.Symlink {
					e.MTime = 0
				}
				kept = append(kept, e)
			}
			m.Entries = kept
		},
	}}
}

func noLostFound(m *tree.Manifest) {
	kept := m.Entries[:0]
	for _, e := range m.Entries {
		if e.Path != lostFound {
			kept = append(kept, e)
		}
	}
	m.Entries = kept
}

// write makes an image file of a tree.
func write(t *testing.T, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) string {
	t.Helper()
	v, err := Plan(context.Background(), m, c, opt)
	if err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(t.TempDir(), "image.ext4")
	f, err := os.Create(img)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := v.Write(context.Background(), holes{f}); err != nil {
		t.Fatal(err)
	}
	if at, _ := f.Seek(0, io.SeekCurrent); at != v.Size() {
		t.Fatalf("%d bytes were written, %d planned", at, v.Size())
	}
	if err := f.Truncate(v.Size()); err != nil {
		t.Skip("no file can be so large here: ", err)
	}
	return img
}

// holes is a file without the checksum that image.WriteFile makes.
type holes struct{ *os.File }

func (h holes) Hole(n int64) error {
	_, err := h.Seek(n, io.SeekCurrent)
	if err != nil && strings.Contains(err.Error(), "invalid argument") {
		return fmt.Errorf("%w: no file can be so large here", err)
	}
	return err
}

// clean demands that e2fsck has nothing to say.
func clean(t *testing.T, img string) {
	t.Helper()
	need(t, "e2fsck")
	must(t, "e2fsck", "-fn", img)
}
