package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"slipway/internal/distro/intree"
)

const triggersDir = adminDir + "/triggers"

// interest is one line of triggers/File: a package that wants to know when a
// path changes.
type interest struct {
	path    string // absolute, as written
	key     string
	noawait bool
}

// interests are the file triggers, in the order in which they were registered.
// Named triggers stay in their files, which are read when one is activated.
type interests struct {
	all    []interest
	byPath map[string][]int // relative path; newest first, as dpkg asks them
	stamp  intree.Stamp
}

func (t *interests) load(r *root) error {
	st, err := r.Stat(triggersDir + "/File")
	if errors.Is(err, fs.ErrNotExist) {
		t.all, t.byPath, t.stamp = nil, nil, intree.Stamp{}
		return nil
	}
	if err != nil {
		return err
	}
	if intree.StampOf(&st) == t.stamp {
		return nil
	}
	data, err := r.Read(triggersDir + "/File")
	if err != nil {
		return err
	}
	t.all, t.byPath = nil, nil
	for line := range bytes.Lines(data) {
		path, who, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if !ok || path[0] != '/' {
			return fmt.Errorf("reading /%s/File: line %q", triggersDir, line)
		}
		key, option, _ := strings.Cut(who, "/")
		t.add(interest{path, key, option == "noawait"})
	}
	t.stamp = intree.StampOf(&st)
	return nil
}

// add registers an interest; a known one only changes its option.
func (t *interests) add(i interest) {
	name := relative(i.path)
	for _, k := range t.byPath[name] {
		if t.all[k].key == i.key {
			t.all[k].noawait = i.noawait
			return
		}
	}
	if t.byPath == nil {
		t.byPath = map[string][]int{}
	}
	t.byPath[name] = append([]int{len(t.all)}, t.byPath[name]...)
	t.all = append(t.all, i)
}

func (t *interests) save(r *root) error {
	var b bytes.Buffer
	for _, i := range t.all {
		fmt.Fprintf(&b, "%s %s%s\n", i.path, i.key, option(i.noawait))
	}
	if err := r.Write(triggersDir+"/File", b.Bytes(), 0o644); err != nil {
		return err
	}
	st, err := r.Stat(triggersDir + "/File")
	t.stamp = intree.StampOf(&st)
	return err
}

func option(noawait bool) string {
	if noawait {
		return "/noawait"
	}
	return ""
}

// directive is one line of a package's triggers file (deb-triggers(5)).
type directive struct {
	activate bool
	name     string
	noawait  bool
}

func parseTriggers(data []byte) ([]directive, error) {
	var all []directive
	for line := range bytes.Lines(data) {
		f := strings.Fields(string(line))
		if len(f) == 0 || f[0][0] == '#' {
			continue
		}
		if len(f) != 2 {
			return nil, fmt.Errorf("triggers: line %q", strings.TrimSpace(string(line)))
		}
		d := directive{name: f[1], noawait: strings.HasSuffix(f[0], "-noawait")}
		switch strings.TrimSuffix(strings.TrimSuffix(f[0], "-noawait"), "-await") {
		case "interest":
		case "activate":
			d.activate = true
		default:
			return nil, fmt.Errorf("triggers: unknown directive %q", f[0])
		}
		if !validTrigger(d.name) {
			return nil, fmt.Errorf("triggers: name %q", d.name)
		}
		all = append(all, d)
	}
	return all, nil
}

// validTrigger wants a clean absolute path, or a word that is safe as the name
// of a file.
func validTrigger(name string) bool {
	if name[0] == '/' {
		return len(name) > 1 && !strings.HasSuffix(name, "/") && !strings.Contains(name, "//")
	}
	return !strings.ContainsAny(name, "/_") && name[0] != '.'
}

// activatePath tells those who are interested in a path that a package of the
// archive is about to change it.
func (d *database) activatePath(path string, by *record) {
	for _, k := range d.trig.byPath[path] {
		i := d.trig.all[k]
		d.activate(i.key, i.path, by, i.noawait)
	}
}

// activateDirective follows an "activate" line of a package.
func (d *database) activateDirective(t directive, by *record) error {
	if t.noawait {
		by = nil
	}
	if t.name[0] == '/' {
		for p := relative(t.name); ; {
			d.activatePath(p, by)
			cut := strings.LastIndexByte(p, '/')
			if cut < 0 {
				return nil
			}
			p = p[:cut]
		}
	}
	lines, err := d.namedInterests(t.name)
	if err != nil {
		return err
	}
	for _, i := range lines {
		d.activate(i.key, t.name, by, i.noawait)
	}
	return nil
}

// activate notes a trigger at the package that is interested, and that the
// other package waits for it. A package that is not configured yet does the
// work when it is; it is told nothing.
func (d *database) activate(key, trigger string, by *record, noawait bool) {
	pend := d.byKey(key)
	if pend == nil {
		return
	}
	switch pend.state {
	case installed, triggersPending, triggersAwaited:
	default:
		return
	}
	if !contains(pend.pending, trigger) {
		pend.pending = append([]string{trigger}, pend.pending...)
		if pend.state == installed {
			pend.state = triggersPending
		}
		d.change(pend)
	}
	if by == nil || noawait || contains(by.awaited, pend.key()) {
		return
	}
	by.awaited = append(by.awaited, pend.key())
	if by.state == installed || by.state == triggersPending {
		by.state = triggersAwaited
	}
	d.change(by)
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (d *database) namedInterests(name string) ([]interest, error) {
	data, err := d.root.Read(triggersDir + "/" + name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []interest
	for line := range bytes.Lines(data) {
		key, opt, _ := strings.Cut(strings.TrimSpace(string(line)), "/")
		all = append(all, interest{key: key, noawait: opt == "noawait"})
	}
	return all, nil
}

// register adds a package's interests to the database.
func (d *database) register(r *record, list []directive) error {
	changed := false
	for _, t := range list {
		switch {
		case t.activate:
		case t.name[0] == '/':
			d.trig.add(interest{t.name, r.key(), t.noawait})
			changed = true
		default:
			if err := d.registerNamed(r, t); err != nil {
				return err
			}
		}
	}
	if changed {
		return d.trig.save(d.root)
	}
	return nil
}

func (d *database) registerNamed(r *record, t directive) error {
	lines, err := d.namedInterests(t.name)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	for _, i := range lines {
		if i.key != r.key() {
			fmt.Fprintf(&b, "%s%s\n", i.key, option(i.noawait))
		}
	}
	fmt.Fprintf(&b, "%s%s\n", r.key(), option(t.noawait))
	return d.root.Write(triggersDir+"/"+t.name, b.Bytes(), 0o644)
}
