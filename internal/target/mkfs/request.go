package mkfs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// request is one volume that is wanted.
type request struct {
	fs      *filesystem
	opt     image.VolumeOptions
	tree    *tree.Manifest // as it will lie in the volume
	content tree.Content
	size    int64
}

// prepare makes the request complete, and finds what cannot be.
func (r *request) prepare(m *tree.Manifest) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if len(r.opt.Label) > r.fs.label {
		return fmt.Errorf("label %q: %s has room for %d bytes", r.opt.Label, r.fs.name, r.fs.label)
	}
	if len(r.opt.Subvolumes) > 0 && r.fs != btrfs {
		return fmt.Errorf("%s has no subvolumes; btrfs has", r.fs.name)
	}
	if n := r.opt.Sector; n != 0 && n != 512 && n != 4096 {
		return fmt.Errorf("sectors of %d bytes: want 512 or 4096", n)
	}
	r.tree = clamped(m, r.opt.Epoch)
	if err := r.addSubvolumes(); err != nil {
		return err
	}
	if r.opt.UUID == ([16]byte{}) {
		r.opt.UUID = derived(r.tree)
	}
	return r.decideSize()
}

// derived is an identifier for a volume that was given none: Linux mounts no
// xfs whose identifier is all zeros.
func derived(m *tree.Manifest) (id [16]byte) {
	digest := m.Digest()
	copy(id[:], digest[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id
}

// clamped copies a manifest, with a root and without later times.
func clamped(m *tree.Manifest, epoch int64) *tree.Manifest {
	out := &tree.Manifest{Entries: slices.Clone(m.Entries)}
	if out.Lookup(".") == nil {
		out.Entries = slices.Insert(out.Entries, 0, tree.Entry{Path: ".", Type: tree.Dir, Mode: 0o755, MTime: epoch})
	}
	o := image.Options{Epoch: epoch}
	for i := range out.Entries {
		e := &out.Entries[i]
		e.MTime, e.MNsec = o.Time(e)
	}
	return out
}

// addSubvolumes cleans the list, and adds the folders that the tree lacks.
func (r *request) addSubvolumes() error {
	var clean []string
	for _, s := range r.opt.Subvolumes {
		s = strings.TrimPrefix(path.Clean("/"+s), "/")
		if s == "" {
			return fmt.Errorf("subvolume /: the root of a btrfs is one in any case")
		}
		clean = append(clean, s)
	}
	slices.Sort(clean)
	clean = slices.Compact(clean)
	r.opt.Subvolumes = clean
	for _, s := range clean {
		if err := r.addFolder(s); err != nil {
			return err
		}
	}
	r.tree.Sort()
	for i := range r.tree.Entries {
		e := &r.tree.Entries[i]
		if a, b := subvolume(clean, e.Path), subvolume(clean, e.Link); e.Link != "" && a != b {
			return fmt.Errorf("/%s and /%s are one file with two names, and no file lies in two subvolumes (/%s and /%s): leave one of them out of subvolumes",
				e.Link, e.Path, b, a)
		}
	}
	return nil
}

// addFolder makes sure that there is a folder, and those above it.
func (r *request) addFolder(name string) error {
	if name == "." {
		return nil
	}
	if i := slices.IndexFunc(r.tree.Entries, func(e tree.Entry) bool { return e.Path == name }); i >= 0 {
		if r.tree.Entries[i].Type != tree.Dir {
			return fmt.Errorf("subvolume /%s: it is no folder in the tree", name)
		}
		return nil
	}
	if err := r.addFolder(tree.Parent(name)); err != nil {
		return err
	}
	r.tree.Entries = append(r.tree.Entries, tree.Entry{Path: name, Type: tree.Dir, Mode: 0o755, MTime: r.opt.Epoch})
	return nil
}

// subvolume is the deepest subvolume of a sorted list that a path lies in;
// "" for the root.
func subvolume(all []string, name string) (found string) {
	for _, s := range all {
		if name == s || strings.HasPrefix(name, s+"/") {
			found = s
		}
	}
	return found
}

func (r *request) decideSize() error {
	const mega = 1 << 20
	surely, natural := r.fs.need(measure(r.tree))
	least := max(surely, r.fs.least)
	if r.opt.Size == 0 {
		natural += r.opt.Free + r.opt.Free/16
		r.size = (max(natural, r.fs.least+4*mega) + mega - 1) / mega * mega
		return nil
	}
	if r.opt.Size < least {
		return fmt.Errorf("%s has %dM, and needs %dM for what it holds: make it larger", r.fs.name, r.opt.Size/mega, (least+mega-1)/mega)
	}
	r.size = r.opt.Size
	return nil
}

// key tells whether two requests ask for the same.
func (r *request) key() string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%d\n%x\n%q\n%q\n", r.fs.name, r.size, r.opt.Sector, r.opt.UUID, r.opt.Label, r.opt.Subvolumes)
	digest := r.tree.Digest()
	h.Write(digest[:])
	return hex.EncodeToString(h.Sum(nil))
}
