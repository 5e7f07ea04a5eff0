package vfat

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
	"unicode/utf16"
)

// file is a folder or a file that was found.
type file struct {
	name     string // without folders
	dir      bool
	size     int64
	first    uint32 // cluster; 0: none
	time     stamp
	children []*file
}

// readTree reads all folders, each once: one that is found twice would be a
// loop or belong to two.
func (f *FS) readTree() error {
	f.root = &file{name: ".", dir: true, first: f.start}
	if f.geo.bits == 32 && !f.valid(f.start) {
		return fmt.Errorf("root folder in cluster %d of %d", f.start, f.geo.clusters)
	}
	type todo struct {
		dir  *file
		path string
	}
	queue, names := []todo{{f.root, "."}}, 0
	seen := map[uint32]bool{f.start: true}
	for len(queue) > 0 {
		d := queue[0]
		queue = queue[1:]
		if err := f.readFolder(d.dir); err != nil {
			return fmt.Errorf("folder %q: %w", d.path, err)
		}
		if names += len(d.dir.children); names > maxNames {
			return fmt.Errorf("more than %d names", maxNames)
		}
		for _, c := range d.dir.children {
			if !c.dir {
				continue
			}
			p := path.Join(d.path, c.name)
			if !f.valid(c.first) || seen[c.first] || len(p) > 32<<10 {
				return fmt.Errorf("folder %q: in cluster %d, which is none or that of another folder", p, c.first)
			}
			seen[c.first] = true
			queue = append(queue, todo{c, p})
		}
	}
	return nil
}

func (f *FS) readFolder(d *file) error {
	if f.geo.bits != 32 && d == f.root {
		b := make([]byte, int(f.geo.rootDir)*f.geo.sector)
		at := int64(f.geo.dataStart()-f.geo.rootDir) * int64(f.geo.sector)
		if _, err := f.r.ReadAt(b, at); err != nil {
			return err
		}
		return f.parseFolder(d, b)
	}
	var all []byte
	for c := d.first; ; {
		if f.left -= f.geo.clusterSize(); len(all) >= maxDir || f.left < 0 {
			return errChain
		}
		b := make([]byte, f.geo.clusterSize())
		if _, err := f.r.ReadAt(b, f.offset(c)); err != nil {
			return err
		}
		all = append(all, b...)
		next, last, err := f.next(c)
		if err != nil {
			return err
		}
		if last || ended(b) {
			return f.parseFolder(d, all)
		}
		c = next
	}
}

// ended tells whether the last entry of a cluster says that there are no more.
func ended(b []byte) bool { return b[len(b)-32] == 0 }

func (f *FS) parseFolder(d *file, b []byte) error {
	var long longName
	seen := map[string]bool{}
	for ; len(b) >= 32 && b[0] != 0; b = b[32:] {
		e := b[:32]
		switch {
		case e[0] == 0xe5: // deleted
			long = longName{}
		case e[11]&0x3f == attrLong:
			long.add(e)
		case e[11]&attrLabel != 0:
			if d == f.root {
				f.Label = strings.TrimRight(string(latin(e[:11])), " ")
			}
			long = longName{}
		default:
			if err := f.addEntry(d, e, long.take(e), seen); err != nil {
				return err
			}
			long = longName{}
		}
	}
	return nil
}

func (f *FS) addEntry(d *file, e []byte, long string, seen map[string]bool) error {
	if bytes.Equal(e[:11], []byte(".          ")) || bytes.Equal(e[:11], []byte("..         ")) {
		return nil
	}
	n := &file{name: long, dir: e[11]&attrDir != 0, size: int64(le.Uint32(e[28:]))}
	if n.name == "" {
		n.name = shortName(e)
	}
	if n.name == "" || n.name == "." || n.name == ".." || strings.ContainsAny(n.name, "/\x00") {
		return fmt.Errorf("an entry is called %q", n.name)
	}
	if seen[fold(n.name)] {
		return fmt.Errorf("%q is there twice", n.name)
	}
	seen[fold(n.name)] = true
	n.time = stamp{time: le.Uint16(e[22:]), date: le.Uint16(e[24:])}
	n.first = uint32(le.Uint16(e[26:]))
	if f.geo.bits == 32 {
		n.first |= uint32(le.Uint16(e[20:])) << 16
	}
	if n.dir {
		n.size = 0
	} else if n.size > int64(f.geo.clusters)*f.geo.clusterSize() || n.size > 0 && !f.valid(n.first) {
		return fmt.Errorf("%q has %d bytes from cluster %d on, of %d", n.name, n.size, n.first, f.geo.clusters)
	}
	d.children = append(d.children, n)
	return nil
}

// shortName is the name in the first 11 bytes; two bits of byte 12 say that
// its parts are in small letters.
func shortName(e []byte) string {
	raw := latin(e[:11])
	if e[0] == 0x05 {
		raw[0] = 0xe5
	}
	base, ext := strings.TrimRight(string(raw[:8]), " "), strings.TrimRight(string(raw[8:]), " ")
	if e[12]&8 != 0 {
		base = strings.ToLower(base)
	}
	if e[12]&16 != 0 {
		ext = strings.ToLower(ext)
	}
	if ext != "" {
		base += "." + ext
	}
	return base
}

// latin takes bytes of an unknown code page for Latin-1.
func latin(b []byte) []rune {
	out := make([]rune, len(b))
	for i, c := range b {
		out[i] = rune(c)
	}
	return out
}

// longName collects the parts of a long name, which come last part first.
type longName struct {
	units []uint16
	next  byte // the ordinal that must come; 0: complete
	sum   byte
	bad   bool
}

func (l *longName) add(e []byte) {
	ord := e[0]
	if ord&lastLong != 0 {
		*l = longName{next: ord &^ lastLong, sum: e[13]}
		ord = l.next
	}
	if ord != l.next || ord == 0 || ord > (maxUnits+unitsPerEntry)/unitsPerEntry || e[13] != l.sum {
		l.bad = true
		return
	}
	var part [unitsPerEntry]uint16
	for i, at := range longAt {
		part[i] = le.Uint16(e[at:])
	}
	l.units = append(part[:], l.units...)
	l.next--
}

// take is the name if it belongs to the short entry that follows; otherwise
// the parts are remains of a driver without long names, and mean nothing.
func (l *longName) take(e []byte) string {
	if l.bad || l.next != 0 || len(l.units) == 0 || checksum(e) != l.sum {
		return ""
	}
	units := l.units
	for i, u := range units {
		if u == 0 {
			units = units[:i]
			break
		}
	}
	return string(utf16.Decode(units))
}

// reader reads a file from its start.
type reader struct {
	f       *FS
	cluster uint32
	at      int64 // within the cluster
	left    int64
}

func (r *reader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	size := r.f.geo.clusterSize()
	if r.at == size {
		next, last, err := r.f.next(r.cluster)
		if err == nil && last {
			err = errChain
		}
		if err != nil {
			return 0, err
		}
		r.cluster, r.at = next, 0
	}
	p = p[:min(int64(len(p)), r.left, size-r.at)]
	n, err := r.f.r.ReadAt(p, r.f.offset(r.cluster)+r.at)
	r.at, r.left = r.at+int64(n), r.left-int64(n)
	if n == len(p) {
		err = nil
	}
	return n, err
}
