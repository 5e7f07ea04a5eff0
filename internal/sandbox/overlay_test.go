package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func init() {
	inWorker["overlay"] = func(dir string, w *Worker) error {
		for i, mount := range []func(l []string, u, wk, t string, o OverlayOptions) error{overlayByContext, overlayByMount, MountOverlayWith} {
			if err := tryOverlay(filepath.Join(dir, fmt.Sprint(i)), mount); err != nil {
				return fmt.Errorf("way %d: %w", i, err)
			}
		}
		return w.Emit("ok")
	}
}

// tryOverlay mounts three lowers, one of them with a long and awkward name,
// deletes and changes through the overlay, and reads the upper as a lower.
func tryOverlay(dir string, mount func([]string, string, string, string, OverlayOptions) error) error {
	long := filepath.Join(dir, strings.Repeat("l", 200), `a,b:c\d`, strings.Repeat("m", 100))
	dirs := map[string]string{"a": dir + "/a", "b": dir + "/b", "long": long, "up": dir + "/up", "work": dir + "/work", "at": dir + "/at", "again": dir + "/again"}
	for _, d := range dirs {
		if err := os.MkdirAll(d+"/d", 0o755); err != nil {
			return err
		}
	}
	defer os.RemoveAll(dir) // the caller may not own what the worker made
	os.RemoveAll(dirs["work"] + "/d")
	os.RemoveAll(dirs["up"] + "/d")
	os.WriteFile(dirs["a"]+"/f", []byte("top"), 0o644)
	os.WriteFile(dirs["b"]+"/f", []byte("below"), 0o644)
	os.WriteFile(dirs["long"]+"/d/g", []byte("lowest"), 0o644)
	lowers := []string{dirs["a"], dirs["b"], dirs["long"]}
	if err := mount(lowers, dirs["up"], dirs["work"], dirs["at"], OverlayOptions{}); err != nil {
		return err
	}
	got, err := os.ReadFile(dirs["at"] + "/f")
	if string(got) != "top" {
		return fmt.Errorf("read %q, %v", got, err)
	}
	steps := errors.Join(os.Remove(dirs["at"]+"/f"), os.RemoveAll(dirs["at"]+"/d"), os.Mkdir(dirs["at"]+"/d", 0o755), Unmount(dirs["at"]))
	if steps != nil {
		return steps
	}
	var st unix.Stat_t
	if err := unix.Lstat(dirs["up"]+"/f", &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR {
		return fmt.Errorf("no whiteout in the upper: %v %o", err, st.Mode)
	}
	if err := mount(append([]string{dirs["up"]}, lowers...), "", "", dirs["again"], OverlayOptions{}); err != nil {
		return err
	}
	defer Unmount(dirs["again"])
	if _, err := os.Stat(dirs["again"] + "/f"); !os.IsNotExist(err) {
		return fmt.Errorf("the whiteout does not count in a lower: %v", err)
	}
	if _, err := os.Stat(dirs["again"] + "/d/g"); !os.IsNotExist(err) {
		return fmt.Errorf("the opaque directory does not count in a lower: %v", err)
	}
	if err := os.WriteFile(dirs["again"]+"/x", nil, 0o644); !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("writing without an upper: %v", err)
	}
	return nil
}

func TestMountOverlay(t *testing.T) {
	if got := inside(t, "overlay", testDir(t)); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}

func init() {
	inWorker["mounts"] = func(dir string, w *Worker) error {
		if err := MountTmpfs(dir, 1<<20, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/big", make([]byte, 2<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
			return fmt.Errorf("size is not kept: %v", err)
		}
		os.Mkdir(dir+"/ro", 0o755)
		if err := BindMount("/proc", dir+"/ro", true); err != nil {
			return err
		}
		if err := os.WriteFile(dir+"/ro/self/comm", []byte("x"), 0); !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("writing to a read-only bind: %v", err)
		}
		return errors.Join(Unmount(dir+"/ro"), Unmount(dir), Unmount(dir), w.Emit("ok"))
	}
}

func TestMounts(t *testing.T) {
	if got := inside(t, "mounts", testDir(t)); len(got) != 1 {
		t.Errorf("got %v", got)
	}
}
