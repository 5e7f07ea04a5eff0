package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A record is a JSON file whose writer holds a lock (flock) on it: alive as
// long as the lock is held, whatever its process id may be used for later.
// The kernel drops the lock with the process, so kill -9 needs no clean-up.

// createRecord writes v to dir/name and keeps the file locked until Close. It
// is locked before it becomes visible.
func createRecord(dir, name string, v any) (*os.File, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = giveToOwner(f)
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		os.Remove(f.Name())
		f.Close()
		return nil, fmt.Errorf("writing %s: %w", filepath.Join(dir, name), err)
	}
	return f, nil
}

// eachRecord decodes the live records of dir with the given suffix and calls f;
// dead ones are removed. It says how many were alive.
func eachRecord[T any](dir, suffix string, f func(name string, v T)) int {
	entries, _ := os.ReadDir(dir)
	alive := 0
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || !strings.HasSuffix(name, suffix) {
			continue
		}
		var v T
		path := filepath.Join(dir, name)
		if !readLive(path, &v) {
			continue
		}
		alive++
		f(strings.TrimSuffix(name, suffix), v)
	}
	return alive
}

// readLive reads a record into v; false when its writer is gone.
func readLive(path string, v any) bool {
	r, err := os.Open(path)
	if err != nil {
		return false
	}
	defer r.Close()
	if unix.Flock(int(r.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		os.Remove(path) // nobody holds it
		return false
	}
	return json.NewDecoder(r).Decode(v) == nil
}

// lockFile takes an exclusive lock on path, waiting until ctx ends. Close the
// file to unlock.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := giveToOwner(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	wait := 2 * time.Millisecond
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && err != unix.EINTR {
			f.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("waiting for %s: %w", path, context.Cause(ctx))
		case <-time.After(wait):
			wait = min(wait*2, 200*time.Millisecond)
		}
	}
}

// writeJSON replaces path in one step.
func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, giveToOwner(f), f.Close())
	if err != nil {
		os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, path)
}

// giveToOwner gives a file to the owner of its folder. A member inside a
// user's lab is root of the user namespace; its files must stay the user's.
func giveToOwner(f *os.File) error {
	var file, dir unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &file); err != nil {
		return err
	}
	if err := unix.Stat(filepath.Dir(f.Name()), &dir); err != nil {
		return err
	}
	if file.Uid == dir.Uid {
		return nil
	}
	return f.Chown(int(dir.Uid), int(dir.Gid))
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}
