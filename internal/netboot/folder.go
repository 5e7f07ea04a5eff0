package netboot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"slipway/internal/machine"
)

// Folder is a folder of definitions. Every file *.yaml in it is read: one with
// the key netboot is a machine, one with the key machines a list of them; files
// that others include, or that lists are based on, are neither. A file that
// breaks keeps the machines that it had.
type Folder struct {
	dir  string
	opt  machine.Options
	note func(text string)

	mu     sync.Mutex
	files  map[string]*source
	said   map[string]string // what was last said of a file, so that it is said once
	roster atomic.Pointer[Roster]
}

// source is a file of the folder.
type source struct {
	stamp    string // of the file and of all that it reads
	parts    string // of what it reads alone
	machines []*Machine
	listed   *machine.Fleet  // the list that it is, if it is one that is right
	kept     map[string]bool // machines that are as they were before
	reads    []string        // other files that it is made of
	plain    bool            // a definition of no network machine
	err      error
}

// OpenFolder reads a folder, or one file. note is told one line about whatever
// is wrong, and may be nil. What is wrong with a file is no error: the others
// are served.
func OpenFolder(dir string, opt machine.Options, note func(string)) (*Folder, error) {
	if note == nil {
		note = func(string) {}
	}
	f := &Folder{dir: dir, opt: opt, note: note, files: map[string]*source{}, said: map[string]string{}}
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("reading the fleet: %w", err)
	}
	f.Refresh()
	return f, nil
}

// Roster is what the folder says now. It never waits.
func (f *Folder) Roster() *Roster { return f.roster.Load() }

// list names the files.
func (f *Folder) list() ([]string, error) {
	if st, err := os.Stat(f.dir); err != nil || !st.IsDir() {
		return []string{f.dir}, err
	}
	entries, err := os.ReadDir(f.dir)
	var names []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(f.dir, e.Name()))
		}
	}
	return names, err
}

// Refresh reads what has changed since the last time. changed names the
// machines that are new or not as they were.
func (f *Folder) Refresh() (changed []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	names, err := f.list()
	if err != nil {
		f.say(f.dir, fmt.Sprintf("reading %s: %v; the fleet stays as it was", f.dir, err))
		return nil
	}
	dirty := f.roster.Load() == nil
	there := make(map[string]bool, len(names))
	for _, name := range names {
		there[name] = true
	}
	for name := range f.files {
		if !there[name] {
			for _, m := range f.files[name].machines {
				changed = append(changed, m.Name)
			}
			delete(f.files, name)
			f.say(name, "")
			dirty = true
		}
	}
	for _, name := range names {
		old := f.files[name]
		if old != nil && old.stamp == stampOf(name, old.reads) {
			continue
		}
		dirty = true
		s := f.read(name, old)
		if s.err != nil && old != nil { // the last good version
			s.machines = old.machines
			s.reads = appendNew(s.reads, old.reads)
			s.stamp = stampOf(name, s.reads)
		}
		if s.err == nil {
			for _, m := range s.machines {
				if !s.kept[m.Name] {
					changed = append(changed, m.Name)
				}
			}
			changed = append(changed, s.gone(old)...)
		}
		f.files[name] = s
	}
	if dirty {
		f.build(names)
	}
	return changed
}

// build makes the roster of what the files hold.
func (f *Folder) build(names []string) {
	part := map[string]bool{} // files that are parts of others
	for _, s := range f.files {
		for _, r := range s.reads {
			part[r] = true
		}
	}
	var all []*Machine
	for _, name := range names {
		s := f.files[name]
		abs, _ := filepath.Abs(name)
		switch {
		case part[abs]:
			f.say(name, "")
			continue
		case s.err != nil && len(s.machines) > 0:
			f.say(name, fmt.Sprintf("%v\nits last good version is served", s.err))
		case s.err != nil:
			f.say(name, s.err.Error())
		case s.plain:
			f.say(name, fmt.Sprintf("%s has no key netboot: it is no machine of the network", name))
		default:
			f.say(name, "")
		}
		all = append(all, s.machines...)
	}
	roster, errs := NewRoster(all)
	text := ""
	if len(errs) > 0 {
		text = errors.Join(errs...).Error()
	}
	f.say("", text)
	f.roster.Store(roster)
}

// say tells of a file's fault once.
func (f *Folder) say(name, text string) {
	if f.said[name] == text {
		return
	}
	f.said[name] = text
	if text != "" {
		f.note(text)
	}
}

// read reads one file. old is what was read of it before, or nil.
func (f *Folder) read(name string, old *source) *source {
	s := new(source)
	list, isList, err := machine.LoadFleet(name)
	switch {
	case err != nil:
		s.err = err
	case isList:
		s.list(list, old, f.opt)
	default:
		s.definition(name, f.opt)
	}
	s.stamp, s.parts = stampOf(name, s.reads), stampOf("", s.reads)
	return s
}

func (s *source) definition(name string, opt machine.Options) {
	load := func() (*machine.Definition, error) { return machine.Load(name, opt) }
	d, err := load()
	if err != nil {
		s.err = err
		return
	}
	s.reads = d.Include
	if s.plain = d.Netboot == nil; s.plain {
		return
	}
	s.err = needsMatch(d)
	if s.err == nil {
		s.machines = []*Machine{NewMachine(d, load)}
	}
}

// list reads the machines of a list. One that is written as before, over files
// that are as before, is taken from the old list: a list is long.
func (s *source) list(list *machine.Fleet, old *source, opt machine.Options) {
	s.reads, s.kept = []string{list.Base}, map[string]bool{}
	was := old.index()
	if was != nil {
		s.reads = appendNew(s.reads, old.reads)
	}
	var errs []error
	for i := range list.Machines {
		load := func() (*machine.Definition, error) { return list.Load(i, opt) }
		place := list.Machines[i].Pos.String()
		if j, ok := was[list.Machines[i].Name]; ok && list.Same(i, old.listed, j) {
			m := *old.machines[j]
			m.load, m.Place = load, place
			s.machines = append(s.machines, &m)
			s.kept[m.Name] = true
			continue
		}
		d, err := load()
		if err == nil {
			s.reads = appendNew(s.reads, d.Include)
			err = needsMatch(d)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		m := NewMachine(d, load)
		m.Place = place
		s.machines = append(s.machines, m)
	}
	if s.err = errors.Join(errs...); s.err == nil {
		s.listed = list
	}
}

// index finds the machines of a list by name. It is nil when what they are made
// of has changed.
func (s *source) index() map[string]int {
	if s == nil || s.listed == nil || s.parts != stampOf("", s.reads) {
		return nil
	}
	at := make(map[string]int, len(s.machines))
	for i, m := range s.machines {
		at[m.Name] = i
	}
	return at
}

// gone are the machines that were there before and are no longer.
func (s *source) gone(old *source) (names []string) {
	if old == nil {
		return nil
	}
	there := make(map[string]bool, len(s.machines))
	for _, m := range s.machines {
		there[m.Name] = true
	}
	for _, m := range old.machines {
		if !there[m.Name] {
			names = append(names, m.Name)
		}
	}
	return names
}

func needsMatch(d *machine.Definition) error {
	if d.Netboot == nil || d.Netboot.Match.None() {
		return fmt.Errorf("%s: nothing says by what machine %s is known; add netboot: {match: {mac: ...}}, or match: {any: true}", d.At("netboot"), d.Name)
	}
	return nil
}

func appendNew(list, more []string) []string {
	for _, m := range more {
		if !slices.Contains(list, m) {
			list = append(list, m)
		}
	}
	return list
}

// stampOf changes when one of the files does.
func stampOf(name string, others []string) string {
	var b strings.Builder
	for _, n := range append([]string{name}, others...) {
		if st, err := os.Stat(n); errors.Is(err, fs.ErrNotExist) {
			b.WriteString("-;")
		} else if err == nil {
			fmt.Fprintf(&b, "%d.%d;", st.ModTime().UnixNano(), st.Size())
		}
	}
	return b.String()
}
