package vm

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// The names in a state folder. The state of containers lies there too, under
// the paths that it has in the machine.
const (
	stateFile  = ".disk.raw"
	statePaths = ".disk.json" // the paths that it holds
)

// stateDisk is the disk with what `state:` names. The first time it gets what
// the image has there.
func (b *body) stateDisk() (string, error) {
	path := filepath.Join(b.Spec.StateDir, stateFile)
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = b.makeStateDisk(path)
	} else if err == nil {
		err = b.checkState()
	}
	if err != nil {
		return "", fmt.Errorf("preparing the disk for state: %w", err)
	}
	return path, nil
}

// checkState refuses a kept disk that lacks a path: its file system was made
// before the path was named.
func (b *body) checkState() error {
	data, err := os.ReadFile(filepath.Join(b.Spec.StateDir, statePaths))
	if err != nil {
		return err
	}
	var held []string
	if err := json.Unmarshal(data, &held); err != nil {
		return fmt.Errorf("decoding %s: %w", statePaths, err)
	}
	var missing []string
	for _, p := range b.Spec.Definition.State {
		if !slices.Contains(held, p) {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the kept disk %s holds %s and not %s: take that out of `state:`, or save what you need and remove the disk",
			filepath.Join(b.Spec.StateDir, stateFile), strings.Join(held, ", "), strings.Join(missing, ", "))
	}
	return nil
}

// makeStateDisk copies the file system out of the image.
func (b *body) makeStateDisk(path string) error {
	if err := os.MkdirAll(b.Spec.StateDir, 0o711); err != nil {
		return err
	}
	list, err := json.Marshal(b.Spec.Definition.State)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.Spec.StateDir, statePaths), list, 0o600); err != nil {
		return err
	}
	in, err := os.Open(b.Spec.Boot.Disk)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(b.Spec.StateDir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(out.Name()) // gone after the rename
	span := b.Spec.Boot.State
	err = copySparse(out, in, span.Offset, span.Length)
	if err = errors.Join(err, out.Close(), b.Own(out.Name())); err != nil { // people save it
		return err
	}
	return os.Rename(out.Name(), path)
}

// copySparse copies a part of a file to the start of an empty one, and leaves
// its holes out.
func copySparse(out, in *os.File, offset, length int64) error {
	if err := out.Truncate(length); err != nil {
		return err
	}
	for at := offset; at < offset+length; {
		data, err := unix.Seek(int(in.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && data >= offset+length {
			return nil
		}
		if err != nil {
			return err
		}
		end, err := unix.Seek(int(in.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		end = min(end, offset+length)
		to := data - offset
		for data < end {
			n, err := unix.CopyFileRange(int(in.Fd()), &data, int(out.Fd()), &to, int(end-data), 0)
			if err != nil {
				return err
			}
			if n == 0 {
				return errors.New("the image is shorter than it was")
			}
		}
		at = end
	}
	return nil
}
