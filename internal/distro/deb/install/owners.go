package install

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// owners turns names into the tree's numbers. The files are read again after
// a program ran, if they changed.
type owners struct {
	root          *root
	users, groups idFile
}

type idFile struct {
	name  string
	ids   map[string]int
	stamp stamp
	fresh bool
}

// stamp tells whether a file is still the one that was read.
type stamp struct {
	ino         uint64
	size        int64
	mtime, ctim unix.Timespec
}

func stampOf(st *unix.Stat_t) stamp { return stamp{st.Ino, st.Size, st.Mtim, st.Ctim} }

func newOwners(r *root) *owners {
	return &owners{root: r, users: idFile{name: "etc/passwd"}, groups: idFile{name: "etc/group"}}
}

// forget makes the next look-up compare the files.
func (o *owners) forget() { o.users.fresh, o.groups.fresh = false, false }

func (o *owners) user(name string) (int, bool)  { return o.users.lookup(o.root, name) }
func (o *owners) group(name string) (int, bool) { return o.groups.lookup(o.root, name) }

func (f *idFile) lookup(r *root, name string) (int, bool) {
	if name == "" {
		return 0, false
	}
	if !f.fresh {
		f.reload(r)
	}
	id, ok := f.ids[name]
	return id, ok
}

func (f *idFile) reload(r *root) {
	f.fresh = true
	st, err := r.stat(f.name)
	if err != nil {
		f.ids, f.stamp = nil, stamp{}
		return
	}
	if now := stampOf(&st); now == f.stamp {
		return
	} else {
		f.stamp = now
	}
	data, err := r.read(f.name)
	if err != nil {
		f.ids = nil
		return
	}
	f.ids = parseIDs(data)
}

// parseIDs reads the name and the third field of passwd(5) and group(5); the
// first line of a name counts.
func parseIDs(data []byte) map[string]int {
	ids := map[string]int{}
	for line := range bytes.Lines(data) {
		f := strings.Split(strings.TrimSpace(string(line)), ":")
		if len(f) < 3 || f[0] == "" || strings.ContainsAny(f[0][:1], "#+-") {
			continue
		}
		id, err := strconv.ParseUint(f[2], 10, 31)
		if _, twice := ids[f[0]]; err == nil && !twice {
			ids[f[0]] = int(id)
		}
	}
	return ids
}

// resolve is dpkg's rule for an owner: by name if the tree knows the name,
// else by number.
func (o *owners) resolve(names ownerNames, uid, gid uint32) (int, int) {
	u, g := int(uid), int(gid)
	if id, ok := o.user(names.user); ok {
		u = id
	}
	if id, ok := o.group(names.group); ok {
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
