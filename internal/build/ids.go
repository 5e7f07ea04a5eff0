package build

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strconv"

	"slipway/internal/store"
)

// ids reads the users and groups of a built tree, by name.
func (b *Builder) ids(key string) (users, groups map[string]int, err error) {
	layer, err := b.Store.Layer(key)
	if err != nil {
		return nil, nil, err
	}
	if users, err = readIDs(layer, "etc/passwd"); err != nil {
		return nil, nil, err
	}
	groups, err = readIDs(layer, "etc/group")
	return users, groups, err
}

// readIDs reads name:x:number lines; passwd(5) and group(5) agree on these.
func readIDs(layer *store.Layer, path string) (map[string]int, error) {
	m, err := layer.Manifest()
	if err != nil {
		return nil, err
	}
	e := m.Lookup(path)
	if e == nil {
		return nil, nil // a root archive may do without accounts
	}
	r, err := layer.Content().Open(e.Digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := map[string]int{}
	lines := bufio.NewScanner(io.LimitReader(r, 1<<20))
	for lines.Scan() {
		fields := bytes.Split(lines.Bytes(), []byte(":"))
		if len(fields) < 4 {
			continue
		}
		id, err := strconv.Atoi(string(fields[2]))
		if err != nil {
			return nil, fmt.Errorf("/%s: %q is no id", path, fields[2])
		}
		out[string(fields[0])] = id
	}
	return out, lines.Err()
}
