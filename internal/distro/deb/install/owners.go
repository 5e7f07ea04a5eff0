package install

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"slipway/internal/distro/intree"
)

// resolve is dpkg's rule for an owner: by name if the tree knows the name,
// else by number.
func resolve(o *intree.Owners, names ownerNames, uid, gid uint32) (int, int) {
	u, g := int(uid), int(gid)
	if id, ok := o.User(names.user); ok {
		u = id
	}
	if id, ok := o.Group(names.group); ok {
		g = id
	}
	return u, g
}

// ownerNames are the names that the archive gives for an entry.
type ownerNames struct{ user, group string }

// parseOwners reads debfile.OwnersMember.
func parseOwners(data []byte) (map[int]ownerNames, error) {
	names := map[int]ownerNames{}
	for line := range bytes.Lines(data) {
		f := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
		if len(f) != 3 {
			return nil, fmt.Errorf("owner line %q", line)
		}
		i, err := strconv.Atoi(f[0])
		if err != nil {
			return nil, fmt.Errorf("owner line %q: %w", line, err)
		}
		names[i] = ownerNames{f[1], f[2]}
	}
	return names, nil
}
