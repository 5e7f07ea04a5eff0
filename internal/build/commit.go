package build

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// commit clamps times, reads the finished tree into a manifest and keeps the
// layer.
func (b *work) commit(l Layer, t *staged) error {
	t.scripts.Close()
	b.step("keep the %s layer", l.Kind)
	if err := clampTimes(t.root, t.upper, b.Lock.Date); err != nil {
		return fmt.Errorf("clamping times: %w", err)
	}
	scan := tree.ScanOptions{Known: b.known.find}
	if t.parent != nil {
		below, err := t.parent.Manifest()
		if err != nil {
			return err
		}
		b.known.inherit(below, t.upper)
		t.devices = append(t.devices, nodes(below)...)
		scan.Upper, scan.Below = t.upper, below
	}
	m, err := tree.Scan(b.ctx, t.root, scan)
	if err != nil {
		return err
	}
	addDevices(m, t.devices)
	if t.root != t.upper {
		if err := sandbox.Unmount(t.root); err != nil {
			return fmt.Errorf("unmounting the tree: %w", err)
		}
		t.root = t.upper
	}
	meta := store.LayerMeta{Key: l.Key, Parent: l.Parent, Kind: l.Kind, Created: time.Now().UTC(),
		Info: map[string]string{"machine": b.definition.Name, "system": b.System, "tree": m.Digest().String(),
			"bytes": strconv.FormatInt(contentBytes(m), 10)}}
	switch l.Kind {
	case "base":
		meta.Packs = hashes(b.Base)
	case "system":
		meta.Packs = hashes(b.Shared.Packages)
	case "packages":
		meta.Packs = hashes(b.Added.Packages)
	}
	return b.store.CommitLayer(b.ctx, meta, m, t.upper, tree.DirContent(t.upper, m))
}

// contentBytes adds up the files of a tree, hard links once.
func contentBytes(m *tree.Manifest) int64 {
	var n int64
	for _, e := range m.Entries {
		if e.Type == tree.File && e.Link == "" {
			n += e.Size
		}
	}
	return n
}

// clampTimes sets every modification time that is later than the lock's date
// to that date, folders last because touching their entries may move them. It
// looks only at what this layer has written, in upper: the layers below were
// clamped to the same date. Changes go through the whole tree, as an overlay's
// upper must not be changed while it is mounted.
func clampTimes(root, upper string, date time.Time) error {
	limit := unix.NsecToTimespec(date.Unix() * int64(time.Second))
	var late []string
	err := filepath.WalkDir(upper, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return &os.PathError{Op: "lstat", Path: path, Err: err}
		}
		whiteout := st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
		if !whiteout && (st.Mtim.Sec > limit.Sec || st.Mtim.Sec == limit.Sec && st.Mtim.Nsec > 0) {
			late = append(late, root+path[len(upper):])
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(late) - 1; i >= 0; i-- {
		times := []unix.Timespec{limit, limit}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, late[i], times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return &os.PathError{Op: "setting times of", Path: late[i], Err: err}
		}
	}
	return nil
}

// nodes lists the device nodes of a manifest.
func nodes(m *tree.Manifest) []tree.Entry {
	var out []tree.Entry
	for _, e := range m.Entries {
		if e.Type == tree.Char || e.Type == tree.Block {
			out = append(out, e)
		}
	}
	return out
}

// addDevices puts device nodes where the scanned tree has their folder and
// nothing of their name.
func addDevices(m *tree.Manifest, devices []tree.Entry) {
	var missing []tree.Entry
	seen := map[string]bool{}
	for _, e := range devices {
		if in := m.Lookup(tree.Parent(e.Path)); in == nil || in.Type != tree.Dir || seen[e.Path] || m.Lookup(e.Path) != nil {
			continue
		}
		seen[e.Path] = true
		missing = append(missing, e)
	}
	m.Entries = append(m.Entries, missing...)
	m.Sort()
}
