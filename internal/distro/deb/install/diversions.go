package install

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"slipway/internal/distro/intree"
)

// diversion is a record of dpkg-divert(1).
type diversion struct {
	from, to string // relative
	pkg      string // the package that is not diverted; "" for a local diversion
}

type diversions struct {
	from, to map[string]diversion
	stamp    intree.Stamp
}

func (d *diversions) load(r *root) error {
	data, fresh, err := readChanged(r, adminDir+"/diversions", &d.stamp)
	if err != nil || fresh {
		return err
	}
	d.from, d.to = map[string]diversion{}, map[string]diversion{}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(data) == 0 {
		return nil
	}
	if len(lines)%3 != 0 {
		return fmt.Errorf("reading /%s/diversions: %d lines, want three for each", adminDir, len(lines))
	}
	for ; len(lines) > 0; lines = lines[3:] {
		v := diversion{relative(lines[0]), relative(lines[1]), lines[2]}
		if v.pkg == ":" {
			v.pkg = ""
		}
		d.from[v.from], d.to[v.to] = v, v
	}
	return nil
}

// use is where a package's file goes.
func (d *diversions) use(name, pkg string) string {
	if v, ok := d.from[name]; ok && v.pkg != pkg {
		return v.to
	}
	return name
}

// override is a record of dpkg-statoverride(1).
type override struct {
	uid, gid int
	mode     uint32
}

type overrides struct {
	byPath map[string]override
	stamp  intree.Stamp
}

func (o *overrides) load(r *root) error {
	data, fresh, err := readChanged(r, adminDir+"/statoverride", &o.stamp)
	if err != nil || fresh {
		return err
	}
	o.byPath = map[string]override{}
	if len(data) == 0 {
		return nil
	}
	ids := intree.NewOwners(r)
	for line := range bytes.Lines(data) {
		f := strings.SplitN(strings.TrimSuffix(string(line), "\n"), " ", 4)
		if len(f) != 4 {
			return fmt.Errorf("reading /%s/statoverride: line %q", adminDir, line)
		}
		uid, okUser := overrideID(f[0], ids.User)
		gid, okGroup := overrideID(f[1], ids.Group)
		mode, err := strconv.ParseUint(f[2], 8, 12)
		if !okUser || !okGroup || err != nil {
			return fmt.Errorf("reading /%s/statoverride: unknown user, group or mode in %q", adminDir, line)
		}
		o.byPath[relative(f[3])] = override{uid, gid, uint32(mode)}
	}
	return nil
}

func overrideID(s string, lookup func(string) (int, bool)) (int, bool) {
	if number, ok := strings.CutPrefix(s, "#"); ok {
		id, err := strconv.ParseUint(number, 10, 31)
		return int(id), err == nil
	}
	return lookup(s)
}

// readChanged reads a file of the database unless it is the one that was read
// last (fresh). A missing file is empty.
func readChanged(r *root, name string, last *intree.Stamp) (data []byte, fresh bool, err error) {
	st, err := r.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		*last = intree.Stamp{}
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if intree.StampOf(&st) == *last {
		return nil, true, nil
	}
	*last = intree.StampOf(&st)
	data, err = r.Read(name)
	return data, false, err
}
