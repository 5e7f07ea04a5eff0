package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"slipway/internal/distro/deb/debfile"
	"slipway/internal/distro/intree"
)

const (
	adminDir   = "var/lib/dpkg"
	statusFile = adminDir + "/status"
	infoDir    = adminDir + "/info"
)

// Package states, in dpkg's order.
const (
	notInstalled    = "not-installed"
	configFiles     = "config-files"
	halfInstalled   = "half-installed"
	unpacked        = "unpacked"
	halfConfigured  = "half-configured"
	triggersAwaited = "triggers-awaited"
	triggersPending = "triggers-pending"
	installed       = "installed"
)

// record is one package of the database.
type record struct {
	name, arch, version string
	same                bool // Multi-Arch: same
	state               string
	flag                string // "ok" or "reinstreq"
	pending             []string
	awaited             []string
	fields              debfile.Paragraph
	raw                 []byte // the stanza as it is in the file; nil when changed
}

// key names the package's files in info/, and the package in triggers/.
func (r *record) key() string {
	if r.same {
		return r.name + ":" + r.arch
	}
	return r.name
}

// database is the tree's /var/lib/dpkg in memory. The status file is written
// when a program is about to run, and read again when it has run.
type database struct {
	root    *root
	native  string
	records map[string]*record // by name:arch
	stamp   intree.Stamp
	dirty   bool

	files map[string][]*record // who lists a path; without leading slash
	divs  diversions
	over  overrides
	trig  interests
}

func newDatabase(r *root, native string) *database {
	return &database{root: r, native: native, records: map[string]*record{}, files: map[string][]*record{}}
}

// load reads what changed since it was last read.
func (d *database) load() error {
	if err := d.loadStatus(); err != nil {
		return fmt.Errorf("reading the package database: %w", err)
	}
	if err := d.divs.load(d.root); err != nil {
		return err
	}
	if err := d.over.load(d.root); err != nil {
		return err
	}
	return d.trig.load(d.root)
}

func (d *database) loadStatus() error {
	st, err := d.root.Stat(statusFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if intree.StampOf(&st) == d.stamp {
		return nil
	}
	data, err := d.root.Read(statusFile)
	if err != nil {
		return err
	}
	before := d.records
	d.records = make(map[string]*record, len(before)+8)
	for len(data) > 0 {
		para, rest, err := debfile.ParseParagraph(data)
		if err != nil {
			return err
		}
		if para == nil {
			break
		}
		r := newRecord(para)
		r.raw = data[:len(data)-len(rest)]
		data = rest
		d.records[r.name+":"+r.arch] = r
	}
	d.stamp, d.dirty = intree.StampOf(&st), false
	return d.loadLists(before)
}

// newRecord understands a stanza of the status file.
func newRecord(p debfile.Paragraph) *record {
	r := &record{
		name: p.Value("Package"), arch: p.Value("Architecture"), version: p.Value("Version"),
		same: p.Value("Multi-Arch") == "same", fields: p, state: notInstalled, flag: "ok",
	}
	if s := strings.Fields(p.Value("Status")); len(s) == 3 {
		r.flag, r.state = s[1], s[2]
	}
	// dpkg puts each name it reads at the head of its list.
	r.pending = reversed(strings.Fields(p.Value("Triggers-Pending")))
	r.awaited = strings.Fields(p.Value("Triggers-Awaited"))
	return r
}

func reversed(s []string) []string {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
	return s
}

// loadLists keeps the index of paths true. Lists change only when we unpack,
// so that only packages which were unknown before are read.
func (d *database) loadLists(before map[string]*record) error {
	for id, r := range d.records {
		if old := before[id]; old != nil {
			*old = *r
			d.records[id] = old
			continue
		}
		data, err := d.root.Read(infoDir + "/" + r.key() + ".list")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			p := relative(strings.TrimSuffix(string(line), "\n"))
			d.files[p] = append(d.files[p], r)
		}
	}
	return nil
}

// relative is a name of the database as this package writes names.
func relative(p string) string {
	p = strings.TrimPrefix(p, "/")
	if p == "" {
		return "."
	}
	return p
}

// find gives the record of a package, or nil. Architecture "" or "all" means
// any instance that fits.
func (d *database) find(name, arch string) *record {
	if r := d.records[name+":"+arch]; r != nil {
		return r
	}
	if arch == "" {
		for _, a := range []string{d.native, "all"} {
			if r := d.records[name+":"+a]; r != nil {
				return r
			}
		}
	}
	return nil
}

// parseKey reads "name" or "name:arch" from the trigger files.
func (d *database) byKey(key string) *record {
	name, arch, _ := strings.Cut(key, ":")
	return d.find(name, arch)
}

// change marks a record as different from the file.
func (d *database) change(r *record) { r.raw, d.dirty = nil, true }

// setState changes a package's state.
func (d *database) setState(r *record, state string) {
	r.state = state
	d.change(r)
}

// flush writes the status file if it is not as it should be.
func (d *database) flush() error {
	if !d.dirty {
		return nil
	}
	all := make([]*record, 0, len(d.records))
	for _, r := range d.records {
		all = append(all, r)
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].name != all[j].name {
			return all[i].name < all[j].name
		}
		return all[i].arch < all[j].arch
	})
	var b bytes.Buffer
	for _, r := range all {
		if r.raw == nil {
			r.render()
		}
		b.Write(r.raw)
	}
	if err := d.root.Write(statusFile, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the package database: %w", err)
	}
	st, err := d.root.Stat(statusFile)
	if err != nil {
		return err
	}
	d.stamp, d.dirty = intree.StampOf(&st), false
	return nil
}

// render makes the stanza of a changed record.
func (r *record) render() {
	r.fields = set(r.fields, "Status", "install "+r.flag+" "+r.state)
	r.fields = set(r.fields, "Triggers-Pending", strings.Join(r.pending, " "))
	r.fields = set(r.fields, "Triggers-Awaited", strings.Join(r.awaited, " "))
	var b bytes.Buffer
	writeStanza(&b, r.fields)
	r.raw = b.Bytes()
}

// ran is called when a program has run in the tree.
func (in *Installer) ran() error {
	in.root.Forget()
	in.ids.Forget()
	return in.db.load()
}
