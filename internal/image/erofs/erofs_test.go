package erofs

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

func TestConformance(t *testing.T) {
	for _, plain := range []bool{true, false} {
		name := map[bool]string{true: "plain", false: "lz4"}[plain]
		t.Run(name, func(t *testing.T) {
			imagetest.Run(t, imagetest.Format{Writer: Writer{Plain: plain}, Suffix: ".erofs", Judges: []imagetest.Judge{fsck(), kernel()}})
		})
	}
}

func fsck() imagetest.Judge {
	return imagetest.Judge{
		Name: "fsck.erofs",
		Available: func() string {
			if _, err := exec.LookPath("fsck.erofs"); err != nil {
				return "fsck.erofs is not installed"
			}
			if os.Geteuid() != 0 {
				return "fsck.erofs extracts devices only as root"
			}
			return ""
		},
		Extract: func(image, dir string) error {
			return run("fsck.erofs", "--force", "--overwrite", "--preserve", "--extract="+dir, image)
		},
		Lost: func(m *tree.Manifest) { // no hard links, no attributes, and chown behind chmod
			for i := range m.Entries {
				e := &m.Entries[i]
				e.Xattrs, e.Link = nil, ""
				if e.Type == tree.File {
					e.Mode &= 0o1777
				}
			}
		},
	}
}

// kernel is the one that runs here.
func kernel() imagetest.Judge {
	return imagetest.Judge{
		Name:      "kernel",
		Available: mountable,
		Extract: func(image, dir string) error {
			return run("mount", "-o", "loop,ro", "-t", "erofs", image, dir)
		},
		Release: func(dir string) error { return run("umount", dir) },
	}
}

func mountable() string {
	if os.Geteuid() != 0 {
		return "mounting needs root"
	}
	if b, _ := os.ReadFile("/proc/filesystems"); !strings.Contains(string(b), "erofs") {
		return "this kernel has no erofs loaded"
	}
	if run("losetup", "-f") != nil {
		return "there are no loop devices"
	}
	return ""
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}

func TestVolume(t *testing.T) {
	for _, w := range []Writer{{}, {Plain: true}} {
		imagetest.RunVolume(t, w.Plan, append(imagetest.Trees(), imagetest.Sparse(), imagetest.Compressible())...)
	}
}

func TestSpecialTrees(t *testing.T) {
	f := imagetest.Format{Suffix: ".erofs", Judges: []imagetest.Judge{kernel(), fsck()}}
	for _, w := range []Writer{{}, {Plain: true}} {
		f.Writer = w
		for _, tr := range []imagetest.Tree{imagetest.Attributes(), imagetest.Sparse(), imagetest.Compressible()} {
			t.Run(tr.Name, func(t *testing.T) { imagetest.RunTree(t, f, tr.Manifest, tr.Content) })
		}
	}
	f.Writer, f.Judges = Writer{}, f.Judges[:1]
	big := imagetest.Big()
	t.Run(big.Name, func(t *testing.T) { imagetest.RunTree(t, f, big.Manifest, big.Content) })
}

func TestHuge(t *testing.T) {
	imagetest.RunHuge(t, imagetest.Format{Writer: Writer{}, Suffix: ".erofs", Judges: []imagetest.Judge{kernel()}})
}
