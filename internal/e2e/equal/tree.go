package equal

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"slipway/internal/tree"
)

// Tree is one side of a comparison.
type Tree struct {
	Manifest *tree.Manifest
	Content  tree.Content

	users, groups map[uint32]string
}

// NewTree reads the names of a tree's users and groups.
func NewTree(m *tree.Manifest, content tree.Content) (*Tree, error) {
	t := &Tree{Manifest: m, Content: content}
	var err error
	if t.users, err = t.names("etc/passwd"); err != nil {
		return nil, err
	}
	t.groups, err = t.names("etc/group")
	return t, err
}

// maxText bounds the files whose content is looked into, in bytes.
const maxText = 16 << 20

// Read gives the content of a file.
func (t *Tree) Read(path string) ([]byte, error) {
	e := t.Manifest.Lookup(path)
	if e == nil || e.Type != tree.File {
		return nil, fmt.Errorf("/%s is not a file of the tree", path)
	}
	if e.Size > maxText {
		return nil, fmt.Errorf("/%s has %d bytes, more than %d", path, e.Size, maxText)
	}
	r, err := t.Content.Open(e.Digest)
	if err != nil {
		return nil, fmt.Errorf("reading /%s: %w", path, err)
	}
	defer r.Close()
	return io.ReadAll(r)
}

// names maps numbers to names: passwd(5) and group(5) agree on where they are.
func (t *Tree) names(path string) (map[uint32]string, error) {
	names := map[uint32]string{}
	if t.Manifest.Lookup(path) == nil {
		return names, nil
	}
	data, err := t.Read(path)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(line, ":")
		if len(f) < 3 {
			continue
		}
		id, err := strconv.ParseUint(f[2], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("/%s: %q is no id", path, f[2])
		}
		if _, ok := names[uint32(id)]; !ok {
			names[uint32(id)] = f[0]
		}
	}
	return names, nil
}

// dynamic tells whether a number was chosen during the installation (Debian
// policy 9.2.2): then only the name means something.
func dynamic(id uint32) bool { return id >= 100 && id <= 999 }

// sameID compares two owners, by name where both are dynamic.
func sameID(a, b uint32, namesA, namesB map[uint32]string) bool {
	if dynamic(a) && dynamic(b) && namesA[a] != "" {
		return namesA[a] == namesB[b]
	}
	return a == b
}
