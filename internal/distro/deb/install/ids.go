package install

import (
	"fmt"
	"maps"
	"slices"

	"slipway/internal/distro/intree"
)

// IDMap gives the numbers of all users and groups of the tree by name. Scripts
// choose numbers in the order in which packages are configured, so that a
// later build with other packages may choose others.
func (in *Installer) IDMap() (users, groups map[string]int, err error) {
	read := func(name string) (map[string]int, error) {
		data, err := in.root.Read(name)
		if err != nil {
			return nil, fmt.Errorf("reading the tree's users and groups: %w", err)
		}
		return intree.ParseIDs(data), nil
	}
	if users, err = read("etc/passwd"); err != nil {
		return nil, nil, err
	}
	groups, err = read("etc/group")
	return users, groups, err
}

// IDChange is a name whose number is another than an earlier build recorded.
type IDChange struct {
	Kind     string // "user" or "group"
	Name     string
	Old, New int
}

func (c IDChange) String() string {
	return fmt.Sprintf("%s %s was %d in an earlier build and is %d now", c.Kind, c.Name, c.Old, c.New)
}

// CompareIDs lists names that moved, sorted by kind and name. Kept data (a
// volume, a second disk) of a machine would belong to somebody else then.
func (in *Installer) CompareIDs(users, groups map[string]int) ([]IDChange, error) {
	nowUsers, nowGroups, err := in.IDMap()
	if err != nil {
		return nil, err
	}
	return append(moved("group", groups, nowGroups), moved("user", users, nowUsers)...), nil
}

func moved(kind string, old, now map[string]int) []IDChange {
	var all []IDChange
	for _, name := range slices.Sorted(maps.Keys(old)) {
		if id, ok := now[name]; ok && id != old[name] {
			all = append(all, IDChange{kind, name, old[name], id})
		}
	}
	return all
}
