package debfile

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/distro/archived"
	"slipway/internal/distro/deb/debfile/debtest"
	"slipway/internal/tree"
)

// memory is a Sink that keeps everything.
type memory struct {
	entries []tree.Entry
	data    map[string]string
	control map[string]string
}

func newMemory() *memory { return &memory{data: map[string]string{}, control: map[string]string{}} }

func (m *memory) Add(e tree.Entry, content io.Reader) error {
	m.entries = append(m.entries, e)
	if content == nil {
		return nil
	}
	b, err := io.ReadAll(content)
	if err == nil && int64(len(b)) != e.Size {
		err = fmt.Errorf("%s: got %d bytes, want %d", e.Path, len(b), e.Size)
	}
	m.data[e.Path] = string(b)
	return err
}

func (m *memory) AddControl(name string, mode uint32, mtime int64, data []byte) error {
	m.control[name] = fmt.Sprintf("%o %d %s", mode, mtime, data)
	return nil
}

func unpackBytes(b []byte, want Want, limits Limits) (*memory, error) {
	m := newMemory()
	_, err := UnpackFrom(context.Background(), "x.deb", bytes.NewReader(b), int64(len(b)), want, m, limits)
	return m, err
}

var sample = debtest.Deb{
	Name:    "sample",
	Members: map[string]string{"postinst": "#!/bin/sh\n", "conffiles": "/etc/a\n"},
	Entries: []debtest.Entry{
		{Name: "./"}, {Name: "./etc/"}, {Name: "./etc/a", Data: "conf\n"},
		{Name: "./usr/"}, {Name: "./usr/b", Data: "bbb", Mode: 0o4755, User: "games", UID: 5},
		{Name: "./usr/c", Hardlink: "./usr/b"}, {Name: "./usr/d", Symlink: "b"}, {Name: "./usr/e", Data: ""},
	},
}

func TestUnpack(t *testing.T) {
	for _, suffix := range []string{"none", ".gz", ".xz", ".zst"} {
		t.Run(suffix, func(t *testing.T) {
			d := sample
			d.Compression = suffix
			m, err := unpackBytes(d.Build(), Want{Package: "sample", Version: "1.0", Architecture: "all"}, Limits{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range m.entries {
				got = append(got, fmt.Sprintf("%c %s %o %d %d %s%s", e.Type, e.Path, e.Mode, e.UID, e.Size, e.Target, e.Link))
			}
			want := "d . 755 0 0 \nd etc 755 0 0 \nf etc/a 644 0 5 \nd usr 755 0 0 \nf usr/b 4755 5 3 \nf usr/c 644 0 0 usr/b\nl usr/d 777 0 0 b\nf usr/e 644 0 0 "
			if strings.Join(got, "\n") != want {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
			}
			if m.data["usr/b"] != "bbb" || m.entries[4].MTime != debtest.Time.Unix() {
				t.Errorf("content %q, time %d", m.data["usr/b"], m.entries[4].MTime)
			}
			if got, want := m.control["postinst"], "755 1700000000 #!/bin/sh\n"; got != want {
				t.Errorf("postinst: got %q, want %q", got, want)
			}
			if got, want := m.control[OwnersMember], "644 0 4\tgames\tgames\n"; got != want {
				t.Errorf("owners: got %q, want %q", got, want)
			}
			const b = "08f8e0260c64418510cefb2b06eee5cd"
			sums := "644 0 4fd8cc85ca9eebd2fa3c550069ce2846  etc/a\n"
			if got := m.control[SumsMember]; !strings.Contains(got, b+"  usr/b\n"+b+"  usr/c\n") || !strings.HasSuffix(got, "d41d8cd98f00b204e9800998ecf8427e  usr/e\n") || len(got) < len(sums) {
				t.Errorf("sums: %q", got)
			}
		})
	}
}

// TestNoSums: a package's own md5sums stay.
func TestOwnSums(t *testing.T) {
	d := sample
	d.Members = map[string]string{"md5sums": "own\n"}
	m, err := unpackBytes(d.Build(), Want{}, Limits{})
	if err != nil || m.control[SumsMember] != "" || !strings.HasSuffix(m.control["md5sums"], "own\n") {
		t.Errorf("%v %q", err, m.control)
	}
}

func TestRefused(t *testing.T) {
	entry := func(e ...debtest.Entry) []byte { return debtest.Deb{Name: "bad", Entries: e}.Build() }
	long := strings.Repeat("a", 256)
	tests := []struct {
		name string
		deb  []byte
		want error
		text string
	}{
		{"empty", nil, ErrFormat, "does not start with"},
		{"not ar", []byte("hello, this is no archive at all"), ErrFormat, "does not start with"},
		{"only magic", []byte(arMagic), ErrFormat, "no debian-binary member"},
		{"version 3", debtest.Ar(debtest.Member{Name: "debian-binary", Data: []byte("3.0\n")}), ErrFormat, `version "3.0"`},
		{"no data", debtest.Ar(debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")}, debtest.Member{Name: "control.tar"}), ErrFormat, "no data member"},
		{"unknown member", debtest.Ar(debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")}, debtest.Member{Name: "evil"}), ErrFormat, `unexpected member "evil"`},
		{"unknown compression", debtest.Ar(debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")},
			debtest.Member{Name: "control.tar.rar"}, debtest.Member{Name: "data.tar"}), ErrFormat, `compression ".rar"`},
		{"no control file", debtest.Ar(debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")},
			debtest.Member{Name: "control.tar", Data: debtest.Tar(nil)}, debtest.Member{Name: "data.tar"}), ErrFormat, "no control file"},
		{"parent", entry(debtest.Entry{Name: "./a/../../b", Data: "x"}), ErrFormat, "leaves the root"},
		{"absolute", entry(debtest.Entry{Name: "/etc/passwd", Data: "x"}), ErrFormat, `name "/etc/passwd"`},
		{"newline", entry(debtest.Entry{Name: "./a\nb", Data: "x"}), ErrFormat, `name "./a\nb"`},
		{"long name", entry(debtest.Entry{Name: "./" + long, Data: "x"}), ErrFormat, "name of 256 bytes"},
		{"link to nothing", entry(debtest.Entry{Name: "./a", Hardlink: "./b"}), ErrFormat, "no file before it"},
		{"link out", entry(debtest.Entry{Name: "./a", Hardlink: "../b"}), ErrFormat, "leaves the root"},
		{"root is a file", entry(debtest.Entry{Name: ".", Data: "x"}), ErrFormat, "root is no directory"},
		{"unknown type", entry(debtest.Entry{Name: "./a", Type: tar.TypeCont}), ErrFormat, "is of type"},
		{"another package", debtest.Deb{Name: "other"}.Build(), ErrMismatch, "Package is other, want bad"},
		{"another version", debtest.Deb{Name: "bad", Version: "2"}.Build(), ErrMismatch, "Version is 2, want 1.0"},
		{"bad package name", debtest.Deb{Name: "Bad_Name"}.Build(), ErrFormat, `name "Bad_Name"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := unpackBytes(tt.deb, Want{Package: "bad", Version: "1.0"}, Limits{})
			if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("got %v, want %v with %q", err, tt.want, tt.text)
			}
			if err != nil && !strings.Contains(err.Error(), "package x.deb") {
				t.Errorf("the error does not name the package: %v", err)
			}
		})
	}
}

// A sparse file of PAX format 1.0 (GNU tar's manual, "Sparse Formats"): a
// terabyte of zeros in a few bytes.
func TestSparseBomb(t *testing.T) {
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	record := func(key, value string) string {
		for n := len(key) + len(value) + 3; ; n++ {
			if s := fmt.Sprintf("%d %s=%s\n", n, key, value); len(s) == n {
				return s
			}
		}
	}
	// The writer refuses such records, so they are written as a plain entry
	// whose type is changed, with its check sum, to that of a PAX header.
	records := record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
		record("GNU.sparse.name", "./bomb") + record("GNU.sparse.realsize", "1099511627776")
	if err := w.WriteHeader(&tar.Header{Name: "pax", Typeflag: tar.TypeReg, Size: int64(len(records))}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, records)
	body := "0\n" + strings.Repeat("\x00", 510)
	if err := w.WriteHeader(&tar.Header{Name: "./bomb", Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, body)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	header := data.Bytes()[:512]
	header[156] = tar.TypeXHeader
	copy(header[148:156], "        ")
	sum := 0
	for _, c := range header {
		sum += int(c)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	control := debtest.Tar([]debtest.Entry{{Name: "./control", Data: "Package: bomb\nVersion: 1.0\nArchitecture: all\n"}})
	deb := debtest.Ar(debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")},
		debtest.Member{Name: "control.tar", Data: control}, debtest.Member{Name: "data.tar", Data: data.Bytes()})
	_, err := UnpackFrom(t.Context(), "bomb", bytes.NewReader(deb), int64(len(deb)), Want{}, discard{}, Limits{})
	if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "sparse") {
		t.Errorf("got %v", err)
	}
}

// discard is a Sink that reads nothing.
type discard struct{}

func (discard) Add(tree.Entry, io.Reader) error                { return nil }
func (discard) AddControl(string, uint32, int64, []byte) error { return nil }

func TestLimits(t *testing.T) {
	big := debtest.Deb{Name: "big", Entries: []debtest.Entry{{Name: "./zeros", Data: strings.Repeat("\x00", 1<<20)}, {Name: "./b"}}}
	for name, l := range map[string]Limits{
		"total":   {Total: 100 << 10},
		"entries": {Entries: 1},
		"path":    {Path: 4},
		"control": {Control: 100},
	} {
		_, err := unpackBytes(big.Build(), Want{}, l)
		if !errors.Is(err, ErrLimit) && !(name == "path" && errors.Is(err, ErrFormat)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	r := archived.Bound(&zeros{}, 1000, 1<<40, 10, ErrLimit)
	if n, err := io.Copy(io.Discard, r); !errors.Is(err, ErrLimit) || n > 64<<20+10000 {
		t.Errorf("ratio: read %d bytes, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// TestDamaged: a package that is cut off or has a flipped bit is an error
// that names the member, or (in unused bytes) still the same package.
func TestDamaged(t *testing.T) {
	whole := sample.Build()
	for n := 0; n < len(whole)-1; n += 7 {
		if _, err := unpackBytes(whole[:n], Want{}, Limits{}); err == nil {
			t.Fatalf("a package of %d bytes cut to %d was accepted", len(whole), n)
		}
	}
	ref, _ := unpackBytes(whole, Want{}, Limits{})
	start := bytes.Index(whole, []byte("data.tar.xz")) + 60
	for n := start; n < len(whole); n += 3 {
		broken := bytes.Clone(whole)
		broken[n] ^= 4
		m, err := unpackBytes(broken, Want{}, Limits{})
		var e *Error
		if err == nil && fmt.Sprint(m) != fmt.Sprint(ref) {
			t.Fatalf("flipped byte %d: other content without an error", n)
		}
		if err != nil && (!errors.As(err, &e) || e.Member != "data.tar.xz") {
			t.Fatalf("flipped byte %d: %v", n, err)
		}
	}
}

func TestControl(t *testing.T) {
	d := sample
	d.Fields = "Source: src (1.2)\nDepends: libc6 (>= 2),\n foo | bar\nEssential: yes\nMulti-Arch: foreign\nInstalled-Size: 12\n"
	name := filepath.Join(t.TempDir(), "sample.deb")
	if err := os.WriteFile(name, d.Build(), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := Control(name)
	if err != nil {
		t.Fatal(err)
	}
	if p.ID() != "sample:all=1.0" || p.Source != "src" || p.Depends != "libc6 (>= 2), foo | bar" || !p.Essential ||
		p.InstalledSize != 12 || p.Filename != name || len(p.SHA256) != 64 || p.Size != int64(len(d.Build())) {
		t.Errorf("%+v", p)
	}
}

func TestParagraph(t *testing.T) {
	p, rest, err := ParseParagraph([]byte("\n# comment\nA: 1 \nB:\n /x y \n .\n  z\t\n\nC: 3\n"))
	if err != nil || len(p) != 2 || p.Value("a") != "1" || p.Value("B") != "\n /x y \n .\n  z" || string(rest) != "C: 3\n" {
		t.Errorf("%q, rest %q, %v", p, rest, err)
	}
	for _, bad := range []string{" x\n", "nothing\n", "A: 1\na: 2\n", "A B: 1\n", ": 1\n"} {
		if _, _, err := ParseParagraph([]byte(bad)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func FuzzAr(f *testing.F) {
	f.Add(sample.Build())
	f.Add(debtest.Ar(debtest.Member{Name: "debian-binary", Data: []byte("2.0\n")}, debtest.Member{Name: "_x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := readLayout(bytes.NewReader(b), int64(len(b)))
		if err == nil && (l.data.offset+l.data.size > int64(len(b)) || l.control.size < 0) {
			t.Fatalf("members outside the file: %+v", l)
		}
	})
}

// FuzzDeb: any bytes give a package with clean names, or an error; never a
// panic, never more than the limits.
func FuzzDeb(f *testing.F) {
	for _, suffix := range []string{"none", ".gz", ".xz", ".zst"} {
		d := sample
		d.Compression = suffix
		f.Add(d.Build())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := unpackBytes(b, Want{}, Limits{Total: 1 << 20, Control: 1 << 20, Entries: 100})
		if err != nil {
			return
		}
		for _, e := range m.entries {
			if e.Path == "" || strings.HasPrefix(e.Path, "/") || strings.Contains("/"+e.Path+"/", "/../") {
				t.Fatalf("name %q", e.Path)
			}
		}
	})
}
