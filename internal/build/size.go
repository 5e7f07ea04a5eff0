package build

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Sizes tells what a built tree's bytes are spent on. Sizes are of file
// contents, hard links once.
type Sizes struct {
	Bytes    int64     `json:"bytes"`
	Entries  int       `json:"entries"`
	Packages []SizedAs `json:"packages"` // largest first; "" is what no package brought
	Files    []SizedAs `json:"files"`    // largest first
}

// SizedAs is a name and its bytes.
type SizedAs struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Size measures a built machine; at most limit packages and files are listed,
// all with 0.
func (b *Builder) Size(_ context.Context, r *Result, limit int) (*Sizes, error) {
	layer, err := b.Store.Layer(r.Key)
	if err != nil {
		return nil, err
	}
	m, err := layer.Manifest()
	if err != nil {
		return nil, err
	}
	return b.sizes(m, r.Prepared.Packages(), limit), nil
}

// SizeOf measures a tree that no store knows the packages of.
func SizeOf(m *tree.Manifest, limit int) *Sizes { return (*Builder)(nil).sizes(m, nil, limit) }

func (b *Builder) sizes(m *tree.Manifest, packages []plan.Package, limit int) *Sizes {
	owner := map[string]string{}
	for _, p := range packages {
		pack, err := b.Store.OpenPack(p.SHA256)
		if err != nil {
			continue // a foreign lock's package that is not here: its files count as nobody's
		}
		claim(owner, pack, p.Name)
		pack.Close()
	}
	s := &Sizes{Entries: len(m.Entries)}
	of := map[string]int64{}
	for _, e := range m.Entries {
		if e.Type != tree.File || e.Link != "" || e.Size == 0 {
			continue
		}
		s.Bytes += e.Size
		of[owner[e.Path]] += e.Size
		s.Files = append(s.Files, SizedAs{"/" + e.Path, e.Size})
	}
	for name, n := range of {
		if len(packages) > 0 {
			s.Packages = append(s.Packages, SizedAs{name, n})
		}
	}
	s.Packages, s.Files = largest(s.Packages, limit), largest(s.Files, limit)
	return s
}

// claim notes whose a path is. A tree of today has /bin and its like as links
// into /usr, while packages may still name the old place.
func claim(owner map[string]string, pack *store.Pack, name string) {
	for _, e := range pack.Entries() {
		if e.Type != tree.File {
			continue
		}
		owner[e.Path] = name
		for _, dir := range []string{"bin/", "sbin/", "lib/", "lib64/"} {
			if strings.HasPrefix(e.Path, dir) {
				owner["usr/"+e.Path] = name
			}
		}
	}
}

func largest(list []SizedAs, limit int) []SizedAs {
	slices.SortFunc(list, func(a, b SizedAs) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
	})
	if limit > 0 && len(list) > limit {
		list = list[:limit]
	}
	return list
}

// checkSize refuses a tree that is larger than the definition allows.
func (b *Builder) checkSize(p *Prepared, layer *store.Layer, bytes int64) error {
	most := p.Definition.MaxSize
	if most == 0 || bytes <= int64(most) {
		return nil
	}
	m, err := layer.Manifest()
	if err != nil {
		return err
	}
	s := b.sizes(m, p.Packages(), 5)
	return fmt.Errorf("%s: max_size is %s, and the tree's files are %s; the largest packages: %s; the largest files: %s; "+
		"leave packages out, use slim, or raise max_size (slipway size %s lists more)",
		p.Definition.At("max_size"), most, mebibytes(bytes), sizeWords(s.Packages), sizeWords(s.Files), p.Definition.File)
}

func sizeWords(list []SizedAs) string {
	words := make([]string, len(list))
	for i, s := range list {
		words[i] = fmt.Sprintf("%s %s", cmp.Or(s.Name, "(no package)"), mebibytes(s.Bytes))
	}
	return strings.Join(words, ", ")
}

// mebibytes writes a size for people.
func mebibytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%dK", (n+1023)>>10)
	}
	return fmt.Sprintf("%.1fM", float64(n)/float64(machine.Size(1<<20)))
}
