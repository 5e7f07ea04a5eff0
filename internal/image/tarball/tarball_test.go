package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

func TestConformance(t *testing.T) {
	for _, c := range []Compression{None, Zstd, Gzip, XZ} {
		suffix := strings.TrimSuffix(".tar."+string(c), ".")
		f := imagetest.Format{Writer: Writer{c}, Suffix: suffix, Read: Read, Judges: judges(c)}
		t.Run(suffix, func(t *testing.T) {
			if c == XZ { // it is slow, and the rest does not depend on it
				tr := imagetest.Trees()[0]
				imagetest.RunTree(t, f, tr.Manifest, tr.Content)
				return
			}
			imagetest.Run(t, f)
		})
	}
}

func TestSpecialTrees(t *testing.T) {
	f := imagetest.Format{Writer: Writer{Zstd}, Suffix: ".tar.zst", Read: Read, Judges: judges(Zstd)[:1]}
	for _, tr := range []imagetest.Tree{imagetest.Attributes(), imagetest.Sparse()} {
		t.Run(tr.Name, func(t *testing.T) { imagetest.RunTree(t, f, tr.Manifest, tr.Content) })
	}
	f.Judges = nil
	big := imagetest.Big()
	t.Run(big.Name, func(t *testing.T) { imagetest.RunTree(t, f, big.Manifest, big.Content) })
}

// A file larger than 32 bits can say comes back whole.
func TestHuge(t *testing.T) {
	if testing.Short() {
		t.Skip("writing 4 GiB is left out of short tests")
	}
	m, c := imagetest.Huge()
	r, w := io.Pipe()
	go func() { w.CloseWithError(Writer{}.Write(context.Background(), w, m, c, image.Options{})) }()
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "./huge" {
			if n, err := io.Copy(io.Discard, tr); n != imagetest.HugeSize || err != nil {
				t.Errorf("got %d bytes, %v", n, err)
			}
			r.Close()
			return
		}
	}
}

func judges(c Compression) []imagetest.Judge {
	return []imagetest.Judge{{
		Name: "GNU tar",
		Available: func() string {
			if out, err := exec.Command("tar", "--version").Output(); err != nil || !strings.Contains(string(out), "GNU tar") {
				return "GNU tar is not installed"
			}
			return missing(map[Compression]string{Zstd: "zstd", Gzip: "gzip", XZ: "xz"}[c])
		},
		Extract: func(image, dir string) error {
			return run("tar", "--extract", "--file", image, "--directory", dir, "--numeric-owner", "--preserve-permissions",
				"--xattrs", "--xattrs-include=*", "--delay-directory-restore", exclude())
		},
	}, {
		Name: "bsdtar",
		Available: func() string {
			if os.Geteuid() != 0 {
				return "bsdtar restores setuid bits and capabilities only as root"
			}
			return missing("bsdtar")
		},
		Extract: func(image, dir string) error {
			return run("bsdtar", "-xpf", image, "-C", dir, "--numeric-owner", "--xattrs", exclude())
		},
	}}
}

// exclude leaves devices out where this user cannot make them.
func exclude() string {
	if os.Geteuid() == 0 {
		return "--exclude=nothing"
	}
	return "--exclude=./dev/[ns]*"
}

func missing(program string) string {
	if program == "" {
		return ""
	}
	if _, err := exec.LookPath(program); err != nil {
		return program + " is not installed"
	}
	return ""
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// cut takes the beginning of an archive and then fails.
type cut struct{ bytes.Buffer }

var errCut = errors.New("cut")

func (c *cut) Write(b []byte) (int, error) {
	if c.Len() > 1<<20 {
		return 0, errCut
	}
	return c.Buffer.Write(b)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

type zeroContent int64

func (n zeroContent) Open(tree.Digest) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zeros{}, int64(n))), nil
}

// A size beyond the 8 GiB of the octal field, without writing so much.
func TestHugeFile(t *testing.T) {
	const size = 9<<30 + 1
	m := &tree.Manifest{Entries: []tree.Entry{{Path: "huge", Type: tree.File, Mode: 0o644, Size: size, Digest: tree.Digest{1}}}}
	var out cut
	if err := (Writer{}).Write(context.Background(), &out, m, zeroContent(size), image.Options{}); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	h, err := tar.NewReader(&out.Buffer).Next()
	if err != nil || h.Size != size {
		t.Errorf("got %+v, %v; want size %d", h, err, int64(size))
	}
}

// Members begin as those of mmdebstrap's archives do.
func TestLayout(t *testing.T) {
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}, {Path: "etc", Type: tree.Dir, Mode: 0o755},
		{Path: "etc/x", Type: tree.File, Mode: 0o644, Digest: tree.Empty}, {Path: "etc/y", Type: tree.File, Mode: 0o644, Digest: tree.Empty, Link: "etc/x"}}}
	var b bytes.Buffer
	if err := (Writer{}).Write(context.Background(), &b, m, tree.Bytes{}, image.Options{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		got = append(got, fmt.Sprintf("%c %s %s %q%q", h.Typeflag, h.Name, h.Linkname, h.Uname, h.Gname))
	}
	want := `5 ./  """";5 ./etc/  """";0 ./etc/x  """";1 ./etc/y ./etc/x """"`
	if s := strings.Join(got, ";"); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func archive(t testing.TB, hs ...tar.Header) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.tar")
	os.WriteFile(name, members(hs...), 0o600)
	return name
}

func members(hs ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range hs {
		h.Size = int64(len(h.Uname)) // the content, for these tests
		data := h.Uname
		h.Uname = ""
		w.WriteHeader(&h)
		io.WriteString(w, data)
	}
	w.Close()
	return b.Bytes()
}

func TestReadRefuses(t *testing.T) {
	for want, hs := range map[string][]tar.Header{
		"not clean":            {{Name: "../x", Typeflag: tar.TypeReg}},
		"did not come before":  {{Name: "x", Typeflag: tar.TypeLink, Linkname: "y"}},
		"is no folder":         {{Name: "x", Typeflag: tar.TypeReg}, {Name: "x/y", Typeflag: tar.TypeReg}},
		"unknown member type":  {{Name: "x", Typeflag: 'Q'}},
		"path is empty, too l": {{Name: "/etc/passwd", Typeflag: tar.TypeReg}},
	} {
		if _, _, err := Read(archive(t, hs...)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// A later member replaces an earlier one, also the first of a group.
func TestReadReplaced(t *testing.T) {
	m, c, err := Read(archive(t, tar.Header{Name: "b", Typeflag: tar.TypeReg, Uname: "one"}, tar.Header{Name: "c", Typeflag: tar.TypeLink, Linkname: "b"},
		tar.Header{Name: "a", Typeflag: tar.TypeLink, Linkname: "./b"}, tar.Header{Name: "b", Typeflag: tar.TypeReg, Uname: "two"}))
	if err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string][2]string{"a": {"one", ""}, "b": {"two", ""}, "c": {"one", "a"}} {
		e := m.Lookup(p)
		r, err := c.Open(e.Digest)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(r)
		r.Close()
		if string(b) != want[0] || e.Link != want[1] {
			t.Errorf("%s: got %q, link %q; want %q", p, b, e.Link, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(members(tar.Header{Name: "a", Typeflag: tar.TypeReg, Uname: "x"}, tar.Header{Name: "b", Typeflag: tar.TypeLink, Linkname: "a"}))
	f.Add(members(tar.Header{Name: "d/", Typeflag: tar.TypeDir, PAXRecords: map[string]string{xattrPrefix + "user.x": "\x00"}}))
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00"))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &reader{in: &counter{r: bytes.NewReader(b)}, at: make(map[string]int), offsets: make(map[tree.Digest]span)}
		if m, err := r.read(); err == nil && m.Validate() != nil {
			t.Error("an invalid manifest was read")
		}
	})
}

// GNU tar's sparse members, in both of its forms, are refused at once.
func TestReadSparse(t *testing.T) {
	if why := judges(None)[0].Available(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "hole"))
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("x"))
	f.Truncate(1 << 40)
	f.Close()
	for _, format := range []string{"gnu", "pax"} {
		name := filepath.Join(dir, format+".tar")
		if err := run("tar", "--create", "--sparse", "--format", format, "--file", name, "--directory", dir, "hole"); err != nil {
			t.Skip(err)
		}
		if _, _, err := Read(name); err == nil || !strings.Contains(err.Error(), "sparse member") {
			t.Errorf("%s: got error %v", format, err)
		}
	}
}
