package container

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"slipway/internal/guest/wire"
	"slipway/internal/machine"
	"slipway/internal/sandbox"
	"slipway/internal/target/supervisor"

	"golang.org/x/sys/unix"
)

// The names in a machine's run folder.
const (
	upperDir = "upper"
	workDir  = "work"
	rootDir  = "root"
	bindsDir = "binds"
)

// Open makes the folders of a machine in its run folder.
func (Driver) Open(h *supervisor.Host) (supervisor.Body, error) {
	b := &body{Host: h}
	for _, name := range []string{upperDir, workDir, rootDir, bindsDir} {
		if err := os.MkdirAll(name, 0o711); err != nil {
			return nil, fmt.Errorf("making the run folder: %w", err)
		}
	}
	return b, b.likeLower()
}

// body is a container's storage.
type body struct{ *supervisor.Host }

// likeLower gives the upper the attributes of the tree's root: an overlay
// shows those of its topmost folder.
func (b *body) likeLower() error {
	var st unix.Stat_t
	if err := unix.Stat(b.Spec.LayerDirs[0], &st); err != nil {
		return fmt.Errorf("reading layer %s: %w", b.Spec.LayerDirs[0], err)
	}
	if err := os.Chown(upperDir, int(st.Uid), int(st.Gid)); err != nil {
		return fmt.Errorf("preparing the upper: %w", err)
	}
	return os.Chmod(upperDir, fs.FileMode(st.Mode&0o777))
}

// Reset throws away everything that the machine has written, its state
// volumes apart.
func (b *body) Reset() error {
	for _, name := range []string{upperDir, workDir} {
		if err := os.RemoveAll(filepath.Join(b.Spec.RunDir, name)); err != nil {
			return fmt.Errorf("removing what the machine wrote: %w", err)
		}
	}
	return nil
}

// Written sums what lies in the upper.
func (b *body) Written() int64 { return diskUse(filepath.Join(b.Spec.RunDir, upperDir)) }

// Close leaves the upper to be kept.
func (b *body) Close() error {
	var errs []error
	for _, name := range []string{workDir, rootDir, bindsDir} {
		errs = append(errs, os.RemoveAll(filepath.Join(b.Spec.RunDir, name)))
	}
	return errors.Join(errs...)
}

// rootMount is the machine's root with what is shown in it.
type rootMount struct {
	path    string // relative to the run folder
	mounts  []wire.Mount
	mounted []string // to be unmounted in reverse
}

func (r *rootMount) close() error {
	var errs []error
	for i := len(r.mounted) - 1; i >= 0; i-- {
		if err := unix.Unmount(r.mounted[i], unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmounting %s: %w", r.mounted[i], err))
		}
	}
	return errors.Join(errs...)
}

// mountRoot mounts the root, the volumes and the binds in the supervisor's own
// mount namespace, from which the machine's is a copy.
func (b *body) mountRoot() (*rootMount, error) {
	for _, name := range []string{upperDir, workDir} { // a reset took them away
		if err := os.MkdirAll(name, 0o711); err != nil {
			return nil, err
		}
	}
	if err := b.likeLower(); err != nil {
		return nil, err
	}
	abs := func(name string) string { return filepath.Join(b.Spec.RunDir, name) }
	if err := sandbox.MountOverlay(b.Spec.LayerDirs, abs(upperDir), abs(workDir), abs(rootDir)); err != nil {
		return nil, err
	}
	r := &rootMount{path: rootDir, mounted: []string{rootDir}}
	for _, path := range b.Spec.Definition.State {
		source, err := b.volume(path)
		if err == nil {
			err = r.stage(source, path, false, nil)
		}
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	for _, bind := range shown(b.Spec.Definition) {
		ids, err := b.bindIDs(bind.Host)
		if err == nil {
			err = r.stage(bind.Host, bind.Path, bind.ReadOnly, ids)
		}
		if ids != nil {
			ids.Close()
		}
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

// shown is what of the host a container sees: its own binds, and the shares
// that every target has.
func shown(d *machine.Definition) []machine.Bind {
	list := slices.Clone(d.Container.Binds)
	for _, s := range d.Shares {
		list = append(list, machine.Bind{Host: s.Host, Path: s.Path, ReadOnly: s.ReadOnly})
	}
	return list
}

// stage shows source in the run folder, where the guest helper can reach it.
// With ids, a user namespace, its owners are mapped.
func (r *rootMount) stage(source, path string, readOnly bool, ids *os.File) error {
	st, err := os.Stat(source)
	if err != nil {
		return fmt.Errorf("showing %s in the machine: %w", source, err)
	}
	target := filepath.Join(bindsDir, strconv.Itoa(len(r.mounts)))
	if st.IsDir() {
		err = os.MkdirAll(target, 0o711)
	} else {
		err = os.WriteFile(target, nil, 0o600)
	}
	if err != nil {
		return err
	}
	if err := cloneMount(source, target, readOnly, ids); err != nil {
		return fmt.Errorf("showing %s in the machine: %w", source, err)
	}
	r.mounted = append(r.mounted, target)
	r.mounts = append(r.mounts, wire.Mount{Source: target, Path: path, ReadOnly: readOnly})
	return nil
}

// cloneMount binds source. A read-only mount is made so here already: the
// machine's mount namespace is a copy of ours in a user namespace of its own,
// where such flags are locked (mount_namespaces(7)), even for root inside.
func cloneMount(source, target string, readOnly bool, ids *os.File) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if readOnly {
		attr := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, attr); err != nil {
			return fmt.Errorf("making it read-only: %w", err)
		}
	}
	if ids != nil {
		// File systems that cannot map ids are shown as they are.
		_ = unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE,
			&unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ids.Fd())})
	}
	return unix.MoveMount(fd, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}

// volume is the host folder of a state path. The first time it gets what the
// built tree has there.
func (b *body) volume(path string) (string, error) {
	clean := filepath.Clean("/" + path)
	dir := filepath.Join(b.Spec.StateDir, clean)
	// Above and in it may be what a machine of another definition has written.
	if _, err := insideRoot(b.Spec.StateDir, clean); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o711); err != nil {
		return "", fmt.Errorf("making the volume for %s: %w", path, err)
	}
	tmp := filepath.Join(b.Spec.StateDir, ".new")
	if err := os.RemoveAll(tmp); err != nil {
		return "", fmt.Errorf("making the volume for %s: %w", path, err)
	}
	from, err := insideRoot(rootDir, clean)
	if err == nil {
		err = copyTree(from, tmp)
	} else if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(tmp, 0o755); err == nil {
			err = os.Chown(tmp, int(b.IDs.UID), int(b.IDs.GID))
		}
	}
	if err != nil {
		return "", fmt.Errorf("filling the volume for %s: %w", path, err)
	}
	return dir, os.Rename(tmp, dir)
}

// insideRoot gives the host path of a folder in a tree, and refuses links on
// the way: they are the machine's and could point anywhere.
func insideRoot(root, path string) (string, error) {
	at := root
	for _, part := range strings.Split(strings.Trim(path, "/"), "/") {
		at = filepath.Join(at, part)
		st, err := os.Lstat(at)
		if err != nil {
			return "", err
		}
		if st.Mode()&fs.ModeSymlink != 0 {
			return "", fmt.Errorf("%s is a symbolic link in the machine; name the place that it points to", path)
		}
	}
	return at, nil
}

// expandDevices resolves the definition's patterns to the host's device nodes.
func expandDevices(patterns []string) ([]string, error) {
	var devices []string
	for _, p := range patterns {
		if !strings.HasPrefix(p, "/") {
			p = "/dev/" + p
		}
		found, err := filepath.Glob(p)
		if err != nil {
			return nil, fmt.Errorf("looking for the device %s: %w", p, err)
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("the host has no device %s, which container.devices names", p)
		}
		for _, path := range found {
			st, err := os.Stat(path)
			if err != nil {
				return nil, err
			}
			if sys := st.Sys().(*syscall.Stat_t).Mode & unix.S_IFMT; sys != unix.S_IFCHR && sys != unix.S_IFBLK {
				return nil, fmt.Errorf("%s is not a device node; container.devices names nodes only", path)
			}
			devices = append(devices, path)
		}
	}
	return devices, nil
}

// diskUse sums what the files below dir occupy.
func diskUse(dir string) int64 {
	var sum int64
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if fi, err := d.Info(); err == nil {
			sum += fi.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return sum
}
