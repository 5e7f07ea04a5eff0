package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"

	"golang.org/x/sys/unix"
)

// Dynamic system ids: maintainer scripts take the next free one, so the number
// depends on what else is installed (Debian policy 9.2.2).
const (
	firstDynamic = 100
	lastDynamic  = 999
)

// renumber gives users and groups the numbers that the lock recorded, so that
// adding a package never moves an id under kept data. A name that stands in
// the way gets another number. Names, contents and everything else stay.
//
// The account files may be anything that a script left, links to the host too:
// they are opened with the tree as the limit.
func renumber(dir string, users, groups map[string]int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	uids, err := renumbering(root, "etc/passwd", users)
	if err != nil {
		return err
	}
	gids, err := renumbering(root, "etc/group", groups)
	if err != nil || len(uids)+len(gids) == 0 {
		return err
	}
	if err := chownTree(dir, uids, gids); err != nil {
		return err
	}
	for _, name := range []string{"passwd", "passwd-", "group", "group-"} {
		if err := rewriteIDs(root, "etc/"+name, uids, gids, name[0] == 'p'); err != nil {
			return err
		}
	}
	return nil
}

// maxAccounts bounds an account file, in bytes.
const maxAccounts = 16 << 20

// readAccounts reads an account file, which must be a plain one.
func readAccounts(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxAccounts {
		return nil, errors.Join(err, fmt.Errorf("/%s is no plain file of at most %d bytes", name, maxAccounts))
	}
	return io.ReadAll(f)
}

// renumbering maps present numbers to wanted ones. It holds only what changes.
func renumbering(root *os.Root, path string, want map[string]int) (map[int]int, error) {
	if len(want) == 0 {
		return nil, nil
	}
	data, err := readAccounts(root, path)
	if err != nil {
		return nil, err
	}
	have := map[string]int{}
	var names []string
	for _, line := range bytes.Split(data, []byte("\n")) {
		f := bytes.Split(line, []byte(":"))
		if len(f) < 3 {
			continue
		}
		id, err := strconv.Atoi(string(f[2]))
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no id", path, f[2])
		}
		have[string(f[0])] = id
		names = append(names, string(f[0]))
	}
	return permute(names, have, want), nil
}

func permute(names []string, have, want map[string]int) map[int]int {
	out := map[int]int{}
	taken := map[int]bool{}
	for _, name := range names {
		if !dynamic(have[name]) {
			taken[have[name]] = true
		}
	}
	var others []string
	for _, name := range names {
		id, ok := want[name]
		switch {
		case !dynamic(have[name]):
		case ok && dynamic(id) && !taken[id]:
			taken[id] = true
			out[have[name]] = id
		default:
			others = append(others, name)
		}
	}
	// A number that the lock gave to a name that is gone stays free for it.
	reserved := map[int]bool{}
	for _, id := range want {
		reserved[id] = true
	}
	sort.SliceStable(others, func(i, j int) bool { return have[others[i]] < have[others[j]] })
	for _, name := range others {
		id := have[name]
		if taken[id] || reserved[id] {
			id = free(id, taken, reserved)
		}
		taken[id] = true
		out[have[name]] = id
	}
	for from, to := range out {
		if from == to {
			delete(out, from)
		}
	}
	return out
}

func dynamic(id int) bool { return id >= firstDynamic && id <= lastDynamic }

// free looks for a number as the tool that chose the old one does: adduser
// counts up from 100, systemd-sysusers down from 999.
func free(old int, taken, reserved map[int]bool) int {
	id, step := firstDynamic, 1
	if old > (firstDynamic+lastDynamic)/2 {
		id, step = lastDynamic, -1
	}
	for ; dynamic(id); id += step {
		if !taken[id] && !reserved[id] {
			return id
		}
	}
	return old
}

func chownTree(root string, uids, gids map[int]int) error {
	// Files of several names move once, unless an overlay has parted them when
	// the first one moved.
	type inode struct{ dev, ino uint64 }
	before := map[inode][2]uint32{}
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return &os.PathError{Op: "lstat", Path: path, Err: err}
		}
		if id := (inode{st.Dev, st.Ino}); !d.IsDir() && st.Nlink > 1 {
			owner := [2]uint32{st.Uid, st.Gid}
			if old, met := before[id]; met && old != owner {
				return nil
			}
			before[id] = owner
		}
		uid, moveUser := uids[int(st.Uid)]
		gid, moveGroup := gids[int(st.Gid)]
		if !moveUser && !moveGroup {
			return nil
		}
		if !moveUser {
			uid = int(st.Uid)
		}
		if !moveGroup {
			gid = int(st.Gid)
		}
		return chown(path, &st, uid, gid)
	})
}

// chown changes the owner and keeps what the kernel takes away with it: the
// setuid bits, capabilities and the time.
func chown(path string, st *unix.Stat_t, uid, gid int) error {
	capability := make([]byte, 64)
	n, capErr := unix.Lgetxattr(path, "security.capability", capability)
	if err := os.Lchown(path, uid, gid); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFLNK {
		return nil
	}
	if st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0 {
		if err := unix.Chmod(path, st.Mode&0o7777); err != nil {
			return &os.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	if capErr == nil && n > 0 {
		if err := unix.Lsetxattr(path, "security.capability", capability[:n], 0); err != nil {
			return &os.PathError{Op: "setting capabilities of", Path: path, Err: err}
		}
	}
	return nil
}

// rewriteIDs changes the numbers in one account file, in place, so that owner
// and mode stay.
func rewriteIDs(root *os.Root, path string, uids, gids map[int]int, passwd bool) error {
	data, err := readAccounts(root, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	lines := bytes.Split(data, []byte("\n"))
	for i, line := range lines {
		f := bytes.Split(line, []byte(":"))
		if len(f) < 4 {
			continue
		}
		if passwd {
			f[2], f[3] = mapped(f[2], uids), mapped(f[3], gids)
		} else {
			f[2] = mapped(f[2], gids)
		}
		lines[i] = bytes.Join(f, []byte(":"))
	}
	f, err := root.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Join(lines, []byte("\n")))
	return errors.Join(err, f.Close())
}

func mapped(field []byte, ids map[int]int) []byte {
	old, err := strconv.Atoi(string(field))
	if err != nil {
		return field
	}
	if id, ok := ids[old]; ok {
		return []byte(strconv.Itoa(id))
	}
	return field
}
