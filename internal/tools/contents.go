package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Programs from a tree run with the caller's rights, so that a tree is checked
// against what was unpacked: once per boot of the host, and whenever a file of
// it was written to since. In between its files' times and sizes are enough.

// contents is what a tree must hold, by path.
type contents map[string]content

type content struct {
	Size   int64  `json:"size,omitempty"`
	Digest string `json:"sha256,omitempty"`
	Target string `json:"target,omitempty"` // of a symbolic link
}

// Notes beside a tree: its contents, and the state in which it was checked.
const (
	contentsFile = "contents"
	checkedFile  = "checked"
)

func (c contents) encode() []byte {
	data, err := json.Marshal(c)
	if err != nil {
		panic(err) // plain data cannot fail to encode
	}
	return data
}

// unchanged reports whether a tree is as it was when it was checked.
func (t *Tools) unchanged(key string) bool {
	dir, _ := t.d.Store.ToolTree(key)
	state, err := stateOf(dir)
	return err == nil && string(t.d.Store.ToolNote(key, checkedFile)) == state
}

// vouch takes a tree as checked, because it was checked or made just now. Not
// being able to note that costs another check, nothing else.
func (t *Tools) vouch(key string) {
	dir, _ := t.d.Store.ToolTree(key)
	if state, err := stateOf(dir); err == nil {
		_ = t.d.Store.PutToolNote(key, checkedFile, []byte(state))
	}
}

// sound checks a tree unless it is unchanged. What is wrong is told, and the
// tree is then made again.
func (t *Tools) sound(ctx context.Context, s *Set, key string) bool {
	if t.unchanged(key) {
		return true
	}
	dir, _ := t.d.Store.ToolTree(key)
	var want contents
	if json.Unmarshal(t.d.Store.ToolNote(key, contentsFile), &want) != nil || len(want) == 0 {
		return false
	}
	err := want.check(ctx, dir)
	switch {
	case err == nil:
		t.vouch(key)
	case ctx.Err() == nil:
		t.d.Progress.Note(fmt.Sprintf("the unpacked %s is damaged (%v); unpacking it again", s.Name, err))
	}
	return err == nil
}

// stateOf sums up what a change of any file changes.
func stateOf(dir string) (string, error) {
	h := sha256.New()
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	h.Write(boot)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		_, err = fmt.Fprintf(h, "%q %o %d %d %d.%d %d.%d\n", path, st.Mode, st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec, st.Ctim.Sec, st.Ctim.Nsec)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}

// check reads a whole tree. The error names the first thing that is wrong.
func (c contents) check(ctx context.Context, dir string) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for name, want := range c {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := want.check(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), c.strangers(dir))
}

func (c content) check(path string) error {
	if c.Target != "" {
		if got, err := os.Readlink(path); err != nil || got != c.Target {
			return errors.Join(err, fmt.Errorf("it points to %q", got))
		}
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); n != c.Size || got != c.Digest {
		return fmt.Errorf("its SHA-256 is %s", got)
	}
	return nil
}

// strangers finds files that were not unpacked: a library among them would be
// loaded.
func (c contents) strangers(dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, dir+"/")
		if _, ok := c[name]; !ok && !slices.Contains(merged, name) {
			return fmt.Errorf("%s was never unpacked", name)
		}
		return nil
	})
}
