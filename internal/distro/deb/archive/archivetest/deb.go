package archivetest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"path"
	"sort"
	"strings"
	"testing"
	"time"
)

// Deb describes a binary package. Only Name is required.
type Deb struct {
	Name         string
	Version      string // default: 1.0
	Architecture string // default: all
	Suite        string // "", "-updates" or "-security"
	Component    string // default: main
	Source       string
	MultiArch    string
	Section      string
	Priority     string // default: optional
	Essential    bool
	Protected    bool

	Depends, PreDepends, Recommends, Suggests string
	Conflicts, Breaks, Replaces, Provides     string

	Fields  string            // further control fields, each with its newline
	Listed  string            // further fields of the index alone
	Files   map[string]string // absolute path to content: regular files, mode 0644
	Modes   map[string]int64  // other modes of Files
	Entries []tar.Header      // anything else, entered before Files as it stands
	Scripts map[string]string // control members: preinst, postinst, conffiles, triggers, templates...

	Compression string // of both members: "gz" (default), "xz", "zst" or "none"
}

func (d *Deb) defaults() {
	for _, f := range []struct {
		field *string
		value string
	}{{&d.Version, "1.0"}, {&d.Architecture, "all"}, {&d.Priority, "optional"}, {&d.Section, "misc"}, {&d.Compression, "gz"}, {&d.Component, "main"}} {
		if *f.field == "" {
			*f.field = f.value
		}
	}
}

// FileName is name_version_arch.deb, the version without its epoch.
func (d Deb) FileName() string {
	d.defaults()
	version := d.Version[strings.IndexByte(d.Version, ':')+1:]
	return fmt.Sprintf("%s_%s_%s.deb", d.Name, version, d.Architecture)
}

// control is the control file.
func (d Deb) control() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Test <test@example.org>\nInstalled-Size: 1\n", d.Name, d.Version, d.Architecture)
	for _, f := range [][2]string{
		{"Source", d.Source}, {"Multi-Arch", d.MultiArch}, {"Section", d.Section}, {"Priority", d.Priority},
		{"Essential", yes(d.Essential)}, {"Protected", yes(d.Protected)},
		{"Depends", d.Depends}, {"Pre-Depends", d.PreDepends}, {"Recommends", d.Recommends}, {"Suggests", d.Suggests},
		{"Conflicts", d.Conflicts}, {"Breaks", d.Breaks}, {"Replaces", d.Replaces}, {"Provides", d.Provides},
	} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
		}
	}
	fmt.Fprintf(&b, "%sDescription: test package %s\n", d.Fields, d.Name)
	return b.String()
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// epoch is the time of every entry.
var epoch = time.Unix(1_700_000_000, 0)

// Build makes the .deb (deb(5)): debian-binary, control.tar, data.tar.
func (d Deb) Build(t testing.TB) []byte {
	t.Helper()
	d.defaults()
	suffix := ""
	if d.Compression != "none" {
		suffix = "." + d.Compression
	}
	var out bytes.Buffer
	out.WriteString("!<arch>\n")
	member(&out, "debian-binary", []byte("2.0\n"))
	member(&out, "control.tar"+suffix, compress(t, suffix, d.controlTar(t)))
	member(&out, "data.tar"+suffix, compress(t, suffix, d.dataTar(t)))
	return out.Bytes()
}

// member writes one ar member (ar(5)).
func member(out *bytes.Buffer, name string, data []byte) {
	fmt.Fprintf(out, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, epoch.Unix(), 0, 0, "100644", len(data))
	out.Write(data)
	if len(data)%2 == 1 {
		out.WriteByte('\n')
	}
}

func (d Deb) controlTar(t testing.TB) []byte {
	members := map[string]string{"control": d.control()}
	for name, text := range d.Scripts {
		members[name] = text
	}
	w := newTar(t)
	w.dir("./")
	for _, name := range sorted(members) {
		mode := int64(0o644)
		switch name {
		case "preinst", "postinst", "prerm", "postrm", "config":
			mode = 0o755
		}
		w.file(tar.Header{Name: "./" + name, Mode: mode}, members[name])
	}
	return w.close()
}

func (d Deb) dataTar(t testing.TB) []byte {
	w := newTar(t)
	w.dir("./")
	for _, h := range d.Entries {
		w.file(h, "")
	}
	made := map[string]bool{"/": true}
	for _, name := range sorted(d.Files) {
		w.parents(made, path.Dir(name))
		mode := int64(0o644)
		if other, ok := d.Modes[name]; ok {
			mode = other
		}
		w.file(tar.Header{Name: "." + name, Mode: mode}, d.Files[name])
	}
	return w.close()
}

func sorted(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// tarWriter writes root's files at the epoch and fails the test on errors.
type tarWriter struct {
	t   testing.TB
	out bytes.Buffer
	w   *tar.Writer
}

func newTar(t testing.TB) *tarWriter {
	w := &tarWriter{t: t}
	w.w = tar.NewWriter(&w.out)
	return w
}

func (w *tarWriter) parents(made map[string]bool, dir string) {
	if !made[dir] {
		w.parents(made, path.Dir(dir))
		made[dir] = true
		w.dir("." + dir + "/")
	}
}

func (w *tarWriter) dir(name string) {
	w.file(tar.Header{Name: name, Mode: 0o755, Typeflag: tar.TypeDir}, "")
}

func (w *tarWriter) file(h tar.Header, content string) {
	w.t.Helper()
	if h.ModTime.IsZero() {
		h.ModTime = epoch
	}
	if h.Typeflag == 0 {
		h.Typeflag = tar.TypeReg
	}
	h.Uname, h.Gname, h.Format = "root", "root", tar.FormatGNU
	if h.PAXRecords != nil {
		h.Format = tar.FormatPAX
	}
	h.Size = int64(len(content))
	if err := w.w.WriteHeader(&h); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.w.Write([]byte(content)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *tarWriter) close() []byte {
	if err := w.w.Close(); err != nil {
		w.t.Fatal(err)
	}
	return w.out.Bytes()
}
