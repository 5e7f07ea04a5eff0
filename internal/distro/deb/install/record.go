package install

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"

	"slipway/internal/distro/deb/debfile"
)

// record writes info/ and the trigger interests of the unpacked package.
func (j *job) record() error {
	db, base := j.in.db, infoDir+"/"+j.rec.key()+"."
	if err := j.infoFormat(); err != nil {
		return err
	}
	if err := j.in.root.Write(base+"list", j.list(), 0o644); err != nil {
		return err
	}
	if err := db.register(j.rec, j.triggers); err != nil {
		return err
	}
	for _, c := range j.pack.Control() {
		switch {
		case c.Name == debfile.SumsMember:
			if err := j.in.root.Write(base+"md5sums", c.Data, 0o644); err != nil {
				return err
			}
		case c.Name == "control" || c.Name == "list" || strings.Contains(c.Name, "."):
		default:
			if err := j.controlFile(base+c.Name, c); err != nil {
				return err
			}
		}
	}
	return j.dropFromOthers()
}

// infoFormat says how files in info/ are named; dpkg takes its absence for an
// older layout.
func (j *job) infoFormat() error {
	const name = infoDir + "/format"
	if _, err := j.in.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return j.in.root.Write(name, []byte("1\n"), 0o644)
}

// list is the package's .list: every entry that it kept, in archive order.
func (j *job) list() []byte {
	var b bytes.Buffer
	for i, e := range j.pack.Entries() {
		if j.skipped[i] {
			continue
		}
		name := "/" + e.Path
		b.WriteString(name)
		b.WriteByte('\n')
		j.own(e.Path)
	}
	return b.Bytes()
}

// own adds the package to those that list a path.
func (j *job) own(path string) {
	owners := j.in.db.files[path]
	for _, o := range owners {
		if o == j.rec {
			return
		}
	}
	j.in.db.files[path] = append(owners, j.rec)
}

// dropFromOthers takes replaced files out of the lists of their former owners.
// When dpkg writes such a list anew, it leaves out whatever the new package
// has put in place, diverted or not.
func (j *job) dropFromOthers() error {
	for other := range j.taken {
		name := infoDir + "/" + other.key() + ".list"
		data, err := j.in.root.Read(name)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		for line := range bytes.Lines(data) {
			p := relative(strings.TrimSuffix(string(line), "\n"))
			if !j.fresh[p] {
				b.Write(line)
				continue
			}
			j.in.db.disown(p, other)
		}
		if err := j.in.root.Write(name, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (d *database) disown(path string, r *record) {
	owners := d.files[path]
	for i, o := range owners {
		if o == r {
			d.files[path] = append(owners[:i:i], owners[i+1:]...)
			return
		}
	}
}

// finishRecord makes the package unpacked, with the fields of its control file.
func (j *job) finishRecord() {
	fields := append(debfile.Paragraph(nil), j.control...)
	var b strings.Builder
	for _, c := range j.conffiles {
		b.WriteString("\n " + c.path + " newconffile")
		if c.removeOnUpgrade {
			b.WriteString(" remove-on-upgrade")
		}
	}
	j.rec.fields = set(fields, "Conffiles", b.String())
	j.rec.flag = "ok"
	j.in.db.setState(j.rec, unpacked)
}
