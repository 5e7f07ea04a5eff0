package mkfs

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// createSubvolume is BTRFS_IOC_SUBVOL_CREATE of include/uapi/linux/btrfs.h:
// its argument is a number that is not used and a name.
const createSubvolume = 0x5000940e

type subvolumeArgs struct {
	_    int64
	name [4088]byte
}

// makeSubvolume makes a subvolume, and the folders above it that are not there
// yet. All of them get their attributes with the tree.
func makeSubvolume(root, name string) error {
	parent := filepath.Join(root, filepath.Dir(name))
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	f, err := os.Open(parent)
	if err != nil {
		return err
	}
	defer f.Close()
	var args subvolumeArgs
	if copy(args.name[:len(args.name)-1], filepath.Base(name)) < len(filepath.Base(name)) {
		return unix.ENAMETOOLONG
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), createSubvolume, uintptr(unsafe.Pointer(&args))); errno != 0 {
		return errno
	}
	return nil
}

// scan reads a volume with its subvolumes, each of which is a file system of
// its own to the kernel. The digests of files whose paths are known need not
// be added up.
func scan(root string, subvolumes []string, known func(string, *unix.Stat_t) (tree.Digest, bool)) (*tree.Manifest, error) {
	all := new(tree.Manifest)
	for _, s := range append([]string{"."}, subvolumes...) {
		m, err := tree.Scan(context.Background(), filepath.Join(root, s), tree.ScanOptions{
			Known: func(name string, st *unix.Stat_t) (tree.Digest, bool) { return known(path.Join(s, name), st) },
		})
		if err != nil {
			return nil, err
		}
		if s == "." {
			all.Entries = append(all.Entries, m.Entries...)
			continue
		}
		for _, e := range m.Entries {
			if e.Path == "." { // the mount point is in the manifest of what holds it
				continue
			}
			e.Path = s + "/" + e.Path
			if e.Link != "" {
				e.Link = s + "/" + e.Link
			}
			all.Entries = append(all.Entries, e)
		}
	}
	all.Sort()
	return all, nil
}
