package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// envDir and friends tell a process inside the lab what it is part of.
const (
	envDir     = "SLIPWAY_LAB"
	envHostNet = "SLIPWAY_LAB_HOSTNET"
)

// RuntimeDir is the folder for what lives until the next boot: /run/slipway for
// root, $XDG_RUNTIME_DIR/slipway for a user, else /tmp/slipway-UID. It is made
// with mode 0700; a folder of somebody else is refused.
func RuntimeDir() (string, error) {
	uid := os.Geteuid()
	dir := "/run/slipway"
	if uid != 0 {
		if base := os.Getenv("XDG_RUNTIME_DIR"); ownDir(base, uid) == nil {
			dir = filepath.Join(base, "slipway")
		} else {
			dir = filepath.Join("/tmp", "slipway-"+strconv.Itoa(uid))
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("making the runtime folder: %w", err)
	}
	if err := ownDir(dir, uid); err != nil {
		return "", fmt.Errorf("using the runtime folder: %w; remove it, or set XDG_RUNTIME_DIR", err)
	}
	return dir, nil
}

// ownDir wants a real directory that belongs to uid and that nobody else can
// write to.
func ownDir(dir string, uid int) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return &fs.PathError{Op: "lstat", Path: dir, Err: err}
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", dir)
	case int(st.Uid) != uid:
		return fmt.Errorf("%s belongs to user %d, not to %d", dir, st.Uid, uid)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written to by others", dir)
	}
	return nil
}
