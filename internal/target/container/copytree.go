package container

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// copyTree copies a folder or file with owners, modes, times and extended
// attributes. Sockets and device nodes are left out: neither has content.
func copyTree(from, to string) error {
	type late struct {
		path string
		st   unix.Stat_t
	}
	var dirs []late // times of folders change while they are filled
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		made, err := copyEntry(path, target, &st)
		if err != nil || !made {
			return err
		}
		if d.IsDir() {
			dirs = append(dirs, late{target, st})
		}
		return copyAttributes(path, target, &st)
	})
	for i := len(dirs) - 1; i >= 0 && err == nil; i-- {
		err = setTimes(dirs[i].path, &dirs[i].st)
	}
	if err != nil {
		return fmt.Errorf("copying %s: %w", from, err)
	}
	return nil
}

func copyEntry(path, target string, st *unix.Stat_t) (made bool, err error) {
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		return true, os.Mkdir(target, 0o700)
	case unix.S_IFREG:
		return true, copyFile(path, target)
	case unix.S_IFIFO:
		return true, unix.Mkfifo(target, 0o600)
	case unix.S_IFLNK:
		text, err := os.Readlink(path)
		if err != nil {
			return false, err
		}
		return true, os.Symlink(text, target)
	}
	return false, nil
}

func copyFile(path, target string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

// copyAttributes goes in the order in which the kernel does not undo the step
// before: a change of owner clears modes and capabilities.
func copyAttributes(path, target string, st *unix.Stat_t) error {
	if err := os.Lchown(target, int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFLNK {
		if err := unix.Chmod(target, st.Mode&0o7777); err != nil {
			return err
		}
	}
	if err := copyXattrs(path, target); err != nil {
		return err
	}
	return setTimes(target, st)
}

func copyXattrs(path, target string) error {
	names := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, names)
	if err != nil {
		if err == unix.ENOTSUP {
			return nil
		}
		return err
	}
	value := make([]byte, 64<<10)
	for start, i := 0, 0; i < n; i++ {
		if names[i] != 0 {
			continue
		}
		name := string(names[start:i])
		start = i + 1
		size, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return err
		}
		if err := unix.Lsetxattr(target, name, value[:size], 0); err != nil && err != unix.ENOTSUP && err != unix.EPERM {
			return err
		}
	}
	return nil
}

func setTimes(path string, st *unix.Stat_t) error {
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
}
