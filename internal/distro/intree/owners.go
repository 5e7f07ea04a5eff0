package intree

import (
	"bytes"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Owners turns names into the tree's numbers. The files are read again after
// a program ran, if they changed.
type Owners struct {
	root          *Root
	users, groups idFile
}

type idFile struct {
	name  string
	ids   map[string]int
	stamp Stamp
	fresh bool
}

// Stamp tells whether a file is still the one that was read.
type Stamp struct {
	ino         uint64
	size        int64
	mtime, ctim unix.Timespec
}

// StampOf is the stamp of a file now.
func StampOf(st *unix.Stat_t) Stamp { return Stamp{st.Ino, st.Size, st.Mtim, st.Ctim} }

// NewOwners reads the tree's account files when they are first needed.
func NewOwners(r *Root) *Owners {
	return &Owners{root: r, users: idFile{name: "etc/passwd"}, groups: idFile{name: "etc/group"}}
}

// Forget makes the next look-up compare the files.
func (o *Owners) Forget() { o.users.fresh, o.groups.fresh = false, false }

// User is the number of a user, if the tree knows the name.
func (o *Owners) User(name string) (int, bool) { return o.users.lookup(o.root, name) }

// Group is the number of a group, if the tree knows the name.
func (o *Owners) Group(name string) (int, bool) { return o.groups.lookup(o.root, name) }

func (f *idFile) lookup(r *Root, name string) (int, bool) {
	if name == "" {
		return 0, false
	}
	if !f.fresh {
		f.reload(r)
	}
	id, ok := f.ids[name]
	return id, ok
}

func (f *idFile) reload(r *Root) {
	f.fresh = true
	st, err := r.Stat(f.name)
	if err != nil {
		f.ids, f.stamp = nil, Stamp{}
		return
	}
	if now := StampOf(&st); now == f.stamp {
		return
	} else {
		f.stamp = now
	}
	data, err := r.Read(f.name)
	if err != nil {
		f.ids = nil
		return
	}
	f.ids = ParseIDs(data)
}

// ParseIDs reads the name and the third field of passwd(5) and group(5); the
// first line of a name counts.
func ParseIDs(data []byte) map[string]int {
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
