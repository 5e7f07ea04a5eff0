package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"slipway/internal/distro/deb/debfile"
	"slipway/internal/store"
)

// Unpack unpacks packages in the given order, as one "dpkg --unpack" would:
// preinst, files, database. Their dependencies are the caller's affair.
func (in *Installer) Unpack(ctx context.Context, group []Package) error {
	for _, p := range group {
		if err := in.unpack(ctx, p); err != nil {
			return err
		}
	}
	return in.db.flush()
}

func (in *Installer) unpack(ctx context.Context, p Package) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in.opt.Step("unpacking " + p.Name)
	j, err := in.begin(ctx, p)
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", p.Name, err)
	}
	defer j.pack.Close()
	if err := j.run(ctx); err != nil {
		return fmt.Errorf("unpacking %s: %w", p.Name, err)
	}
	return nil
}

// job is one package being unpacked.
type job struct {
	in      *Installer
	p       Package
	pack    *store.Pack
	control debfile.Paragraph
	rec     *record

	owners    map[int]ownerNames
	triggers  []directive
	conffiles []conffile
	isConf    map[string]bool

	present bool              // phase A has put the files in place
	placed  map[string]string // where an entry went, if not to its own name
	skipped map[int]bool      // entries that another package keeps
	fresh   map[string]bool   // paths that this package has put in place
	taken   map[*record]bool  // packages that lose paths to this one
}

// conffile is a line of a package's conffiles (deb-conffiles(5)).
type conffile struct {
	path            string // absolute
	removeOnUpgrade bool
}

// begin opens the pack and reads what the package says about itself.
func (in *Installer) begin(ctx context.Context, p Package) (*job, error) {
	pack, err := in.opt.Open(ctx, p.SHA256)
	if err != nil {
		return nil, err
	}
	j := &job{in: in, p: p, pack: pack, placed: map[string]string{}, skipped: map[int]bool{},
		fresh: map[string]bool{}, taken: map[*record]bool{}, present: in.extracted[p.SHA256]}
	if err := j.read(); err != nil {
		pack.Close()
		return nil, err
	}
	return j, nil
}

func (j *job) read() error {
	text, _ := j.pack.ControlData("control")
	var err error
	if j.control, _, err = debfile.ParseParagraph(text); err != nil {
		return err
	}
	if name, arch := j.control.Value("Package"), j.control.Value("Architecture"); name != j.p.Name || arch != j.p.Arch {
		return fmt.Errorf("pack %.12s holds %s:%s, want %s:%s", j.p.SHA256, name, arch, j.p.Name, j.p.Arch)
	}
	names, _ := j.pack.ControlData(debfile.OwnersMember)
	if j.owners, err = parseOwners(names); err != nil {
		return err
	}
	triggers, _ := j.pack.ControlData("triggers")
	if j.triggers, err = parseTriggers(triggers); err != nil {
		return err
	}
	list, _ := j.pack.ControlData("conffiles")
	if j.conffiles, err = parseConffiles(list); err != nil {
		return err
	}
	j.isConf = map[string]bool{}
	for _, c := range j.conffiles {
		if !c.removeOnUpgrade {
			j.isConf[relative(c.path)] = true
		}
	}
	return nil
}

func parseConffiles(data []byte) ([]conffile, error) {
	var all []conffile
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if text == "" {
			continue
		}
		name, flagged := strings.CutPrefix(text, "remove-on-upgrade ")
		name = strings.TrimSpace(name)
		if name[0] != '/' || path.Clean(name) != name {
			return nil, fmt.Errorf("conffiles: line %q", text)
		}
		all = append(all, conffile{name, flagged})
	}
	return all, nil
}

// run follows Debian policy 6.6 for a package that was never installed.
func (j *job) run(ctx context.Context) error {
	if err := j.announce(); err != nil {
		return err
	}
	if err := j.preinst(ctx); err != nil {
		return err
	}
	if err := j.files(); err != nil {
		return err
	}
	if err := j.record(); err != nil {
		return fmt.Errorf("writing its database files: %w", err)
	}
	j.finishRecord()
	return nil
}

// announce makes the database say that the package is being installed.
func (j *job) announce() error {
	db := j.in.db
	id := j.p.Name + ":" + j.p.Arch
	if r := db.records[id]; r != nil && r.state != notInstalled && r.state != configFiles {
		return fmt.Errorf("it is already %s in this tree (%s); upgrading is not yet possible", r.state, r.version)
	}
	j.rec = &record{
		name: j.p.Name, arch: j.p.Arch, version: j.control.Value("Version"),
		same: j.control.Value("Multi-Arch") == "same", state: halfInstalled, flag: "reinstreq",
		fields: debfile.Paragraph{
			{Name: "Package", Value: j.p.Name}, {Name: "Architecture", Value: j.p.Arch},
			{Name: "Multi-Arch", Value: j.control.Value("Multi-Arch")},
			{Name: "Version", Value: j.control.Value("Version")},
		},
	}
	for _, name := range []string{"Priority", "Section"} {
		j.rec.fields = set(j.rec.fields, name, j.control.Value(name))
	}
	for _, t := range j.triggers {
		if t.activate {
			if err := db.activateDirective(t, j.rec); err != nil {
				return err
			}
		}
	}
	db.records[id] = j.rec
	db.change(j.rec)
	return nil
}

// preinst runs "preinst install" from the folder where dpkg has it.
func (j *job) preinst(ctx context.Context) error {
	if _, ok := j.pack.ControlData("preinst"); !ok {
		return nil
	}
	const dir = adminDir + "/tmp.ci"
	in := j.in
	if err := in.root.RemoveAll(dir); err != nil {
		return err
	}
	if err := in.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, c := range j.pack.Control() {
		if strings.HasPrefix(c.Name, "slipway.") {
			continue
		}
		if err := j.controlFile(dir+"/"+c.Name, c); err != nil {
			return err
		}
	}
	if err := in.script(ctx, j.rec, "preinst", "/"+dir+"/preinst", "install"); err != nil {
		return err
	}
	j.rec = in.db.records[j.p.Name+":"+j.p.Arch]
	if j.rec == nil {
		return errors.New("preinst removed the package from the database")
	}
	return in.root.RemoveAll(dir)
}

// controlFile writes one control member with its mode and time.
func (j *job) controlFile(name string, c store.ControlFile) error {
	mode := c.Mode
	switch path.Base(name) {
	case "preinst", "postinst", "prerm", "postrm", "config":
		mode |= 0o111
	}
	return j.in.root.WriteTimed(name, c.Data, mode, c.MTime)
}
