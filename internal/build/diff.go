package build

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"slipway/internal/image/formats"
	"slipway/internal/plan"
	"slipway/internal/tree"
)

// Diff is how two trees differ.
type Diff struct {
	Packages []plan.Change `json:"packages"`
	Files    []FileChange  `json:"files"`
	Bytes    [2]int64      `json:"bytes"`
}

// FileChange is one path that differs.
type FileChange struct {
	Path   string    `json:"path"`
	Change string    `json:"change"` // added, removed, changed
	What   []string  `json:"what,omitempty"`
	Size   [2]int64  `json:"size"`
	Mode   [2]string `json:"mode"`
}

// Side is one operand of a diff: a tree with its contents.
type Side struct {
	Manifest *tree.Manifest
	Content  tree.Content
}

// Open takes an image file, a folder, or the key of a layer in the store.
func (b *Builder) Open(ctx context.Context, name string) (*Side, error) {
	if layer, err := b.Store.Layer(name); err == nil {
		m, err := layer.Manifest()
		return &Side{m, layer.Content()}, err
	}
	if _, err := os.Stat(name); err != nil {
		return nil, fmt.Errorf("%s is no definition, no image and no key in the store: %w", name, err)
	}
	m, c, err := formats.Read(ctx, name)
	if err != nil {
		return nil, err
	}
	return &Side{m, c}, nil
}

// Compare lists how y differs from x.
func (b *Builder) Compare(x, y *Side) (*Diff, error) {
	packagesA, err := b.installed(x)
	if err != nil {
		return nil, err
	}
	packagesB, err := b.installed(y)
	if err != nil {
		return nil, err
	}
	out := &Diff{Packages: plan.Differences(packagesA, packagesB), Files: []FileChange{},
		Bytes: [2]int64{contentBytes(x.Manifest), contentBytes(y.Manifest)}}
	if out.Packages == nil {
		out.Packages = []plan.Change{}
	}
	for _, d := range tree.Compare(x.Manifest, y.Manifest) {
		out.Files = append(out.Files, fileChange(d))
	}
	return out, nil
}

func fileChange(d tree.Difference) FileChange {
	c := FileChange{Path: d.Path, Change: "changed"}
	for i, e := range []*tree.Entry{d.A, d.B} {
		if e != nil {
			c.Size[i], c.Mode[i] = e.Size, fmt.Sprintf("%c%04o", e.Type, e.Mode)
		}
	}
	switch {
	case d.A == nil:
		c.Change = "added"
	case d.B == nil:
		c.Change = "removed"
	}
	for _, attr := range d.Attrs {
		c.What = append(c.What, fmt.Sprint(attr))
	}
	return c
}

// installed reads the package databases of a tree; none means no packages.
func (b *Builder) installed(s *Side) ([]plan.Package, error) {
	var out []plan.Package
	done := map[string]bool{}
	for _, family := range b.Families {
		if done[family.Name()] {
			continue
		}
		done[family.Name()] = true
		list, err := family.Installed(s.read)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			out = append(out, plan.Package{Name: p.Name, Version: p.Version, Arch: p.Arch})
		}
	}
	return out, nil
}

// maxDatabase bounds a file of a package database, in bytes.
const maxDatabase = 256 << 20

// read gives a file of the tree.
func (s *Side) read(path string) ([]byte, error) {
	e := s.Manifest.Lookup(path)
	if e == nil || e.Type != tree.File {
		return nil, fmt.Errorf("/%s: %w", path, fs.ErrNotExist)
	}
	r, err := s.Content.Open(e.Digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, maxDatabase))
}

// Text is the diff for a person.
func (d *Diff) Text() string {
	var s strings.Builder
	for _, c := range d.Packages {
		fmt.Fprintf(&s, "package %s\n", c)
	}
	for _, f := range d.Files {
		switch f.Change {
		case "added":
			fmt.Fprintf(&s, "added   /%s  %s  %s\n", f.Path, f.Mode[1], Bytes(f.Size[1]))
		case "removed":
			fmt.Fprintf(&s, "removed /%s  %s  %s\n", f.Path, f.Mode[0], Bytes(f.Size[0]))
		default:
			fmt.Fprintf(&s, "changed /%s  %s\n", f.Path, strings.Join(f.words(), ", "))
		}
	}
	if len(d.Packages)+len(d.Files) == 0 {
		return "equal\n"
	}
	fmt.Fprintf(&s, "%d packages, %d files differ; size %s -> %s\n", len(d.Packages), len(d.Files), Bytes(d.Bytes[0]), Bytes(d.Bytes[1]))
	return s.String()
}

func (f FileChange) words() []string {
	var out []string
	for _, w := range f.What {
		switch w {
		case "mode", "type":
			w = fmt.Sprintf("%s %s -> %s", w, f.Mode[0], f.Mode[1])
		case "size":
			w = fmt.Sprintf("size %s -> %s", Bytes(f.Size[0]), Bytes(f.Size[1]))
		}
		out = append(out, w)
	}
	return out
}

// DiffOperand opens a definition (built as its packages and keys alone), or
// whatever Open takes.
func (b *Builder) DiffOperand(ctx context.Context, name string, load func(string) (*Result, error)) (*Side, error) {
	if strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml") {
		r, err := load(name)
		if err != nil {
			return nil, err
		}
		name = r.Key
	}
	return b.Open(ctx, name)
}
