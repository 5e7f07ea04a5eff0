package install

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"slipway/internal/distro/apk/index"
)

// acl is an entry's attributes in the database.
type acl struct {
	uid, gid int
	mode     uint32
	xattrs   string // identity-like checksum of the extended attributes; "" for none
}

// Attributes that the database leaves out.
var (
	plainDir  = acl{mode: 0o755}
	plainFile = acl{mode: 0o644}
)

func (a acl) String() string {
	text := fmt.Sprintf("%d:%d:%o", a.uid, a.gid, a.mode)
	if a.xattrs != "" {
		text += ":" + a.xattrs
	}
	return text
}

func parseACL(text string) (a acl, err error) {
	parts := strings.SplitN(text, ":", 4)
	if len(parts) < 3 {
		return a, fmt.Errorf("%q is no uid:gid:mode", text)
	}
	if a.uid, err = strconv.Atoi(parts[0]); err != nil {
		return a, err
	}
	if a.gid, err = strconv.Atoi(parts[1]); err != nil {
		return a, err
	}
	mode, err := strconv.ParseUint(parts[2], 8, 12)
	if len(parts) == 4 {
		a.xattrs = parts[3]
	}
	a.mode = uint32(mode)
	return a, err
}

// file is one that a package owns.
type file struct {
	name string // without the folder
	acl  acl
	sum  string // Q1...; "" for devices
	in   *owned
}

// owned is a folder as one package has it.
type owned struct {
	dir   *folder
	pkg   *record
	acl   acl
	files []*file
}

// folder is one of the tree that packages own.
type folder struct {
	path             string // "" is the root
	uid, gid         int    // of the package with the lowest
	mode             uint32 // what all of those packages agree on
	known            bool   // uid, gid and mode are set
	met, update, hit bool   // looked at; permissions are ours to set; changed in this transaction
}

// settle lowers the folder's attributes to those of one more owner.
func (d *folder) settle(a acl) {
	switch {
	case !d.known || a.uid < d.uid || a.uid == d.uid && a.gid < d.gid:
		d.uid, d.gid, d.mode, d.known = a.uid, a.gid, a.mode, true
	case a.uid == d.uid && a.gid == d.gid:
		d.mode &= a.mode
	}
}

// record is an installed package.
type record struct {
	*index.Package
	replaces         []index.Dependency
	replacesPriority int
	tag              string
	broken           string // f: what an earlier apk could not do
	triggers         []string
	dirs             []*owned
	scripts          map[string][]byte
	fresh            bool // installed in this transaction
}

// dir is the package's view of a folder, nil if it has none.
func (r *record) dir(path string) *owned {
	for i := len(r.dirs) - 1; i >= 0; i-- {
		if r.dirs[i].dir.path == path {
			return r.dirs[i]
		}
	}
	return nil
}

// database is /lib/apk/db.
type database struct {
	packages []*record // in the order of apk's list
	triggers []*record
	world    string
	folders  map[string]*folder
	order    []*folder        // in the order of their first mention
	files    map[string]*file // by path
}

func newDatabase() *database {
	return &database{folders: map[string]*folder{}, files: map[string]*file{}}
}

func (db *database) folder(path string) *folder {
	d := db.folders[path]
	if d == nil {
		d = &folder{path: path}
		db.folders[path] = d
		db.order = append(db.order, d)
	}
	return d
}

func (db *database) find(name string) *record {
	for _, r := range db.packages {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// claim makes a file one of its package, and no other's.
func (db *database) claim(path string, f *file) {
	if old := db.files[path]; old != nil && old != f {
		list := old.in.files
		for i := range list {
			if list[i] == old {
				old.in.files = append(list[:i:i], list[i+1:]...)
				break
			}
		}
	}
	db.files[path] = f
}

// installed writes the main file: packages by name, folders and files in the
// order of their archives.
func (db *database) installed() []byte {
	sorted := append([]*record(nil), db.packages...)
	sort.SliceStable(sorted, func(i, j int) bool { return index.Before(sorted[i].Name, sorted[j].Name) })
	var b strings.Builder
	own := ""
	for _, r := range sorted {
		r.Header(&b)
		own += r.ownLines()
		if len(r.dirs) > 0 {
			b.WriteString(own)
			own = ""
		}
		r.write(&b)
	}
	return []byte(b.String())
}

// ownLines are what an installed package has beside the index's lines. apk 2.14
// writes those of a package without files with the next one that has some
// (apk_db_write_fdb flushes its buffer at folders only). So do we: the database
// is the machine's apk's own, and it reads them back without harm.
func (r *record) ownLines() string {
	var b strings.Builder
	if len(r.replaces) > 0 {
		b.WriteString("r:" + index.Join(r.replaces, " ") + "\n")
	}
	if r.replacesPriority > 0 {
		fmt.Fprintf(&b, "q:%d\n", r.replacesPriority)
	}
	if r.tag != "" {
		b.WriteString("s:" + r.tag + "\n")
	}
	if r.broken != "" {
		b.WriteString("f:" + r.broken + "\n")
	}
	return b.String()
}

func (r *record) write(b *strings.Builder) {
	for _, d := range r.dirs {
		b.WriteString("F:" + d.dir.path + "\n")
		if d.acl != plainDir {
			b.WriteString("M:" + d.acl.String() + "\n")
		}
		for _, f := range d.files {
			b.WriteString("R:" + f.name + "\n")
			if f.acl != plainFile {
				b.WriteString("a:" + f.acl.String() + "\n")
			}
			if f.sum != "" {
				b.WriteString("Z:" + f.sum + "\n")
			}
		}
	}
	b.WriteByte('\n')
}

// triggersFile names who is told of changes in which folders.
func (db *database) triggersFile() []byte {
	var b strings.Builder
	for _, r := range db.triggers {
		b.WriteString(r.Identity)
		for _, t := range r.triggers {
			b.WriteString(" " + t)
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}
