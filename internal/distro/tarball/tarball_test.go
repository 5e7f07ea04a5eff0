package tarball

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"slipway/internal/tree"
)

// members is a sink that keeps what it is given.
type members struct {
	entries  []tree.Entry
	contents map[string]string
}

func (m *members) Add(e tree.Entry, content io.Reader) error {
	m.entries = append(m.entries, e)
	if content == nil {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(content, 1<<20))
	if m.contents == nil {
		m.contents = map[string]string{}
	}
	m.contents[e.Path] = string(data)
	return err
}

// member is a header and its content.
type member struct {
	tar.Header
	content string
}

func file(name, content string) member {
	return member{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: time.Unix(1e9, 0)}, content}
}

func dir(name string) member {
	return member{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755, ModTime: time.Unix(1e9, 0)}}
}

func link(kind byte, name, target string) member {
	return member{Header: tar.Header{Typeflag: kind, Name: name, Linkname: target, ModTime: time.Unix(1e9, 0)}}
}

func node(kind byte, name string, major, minor int64) member {
	return member{Header: tar.Header{Typeflag: kind, Name: name, Mode: 0o666, Devmajor: major, Devminor: minor}}
}

func archive(t testing.TB, list ...member) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, m := range list {
		m.Size = int64(len(m.content))
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(data []byte, sink Sink, limits Limits) error {
	return Read(context.Background(), bytes.NewReader(data), int64(len(data)), sink, limits)
}

func plain(t testing.TB) []byte {
	capable := file("bin/ping", "ping")
	capable.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01", "SCHILY.xattr.security.selinux": "x"}
	return archive(t, dir("./"), dir("./bin/"), file("./bin/sh", "a shell"), link(tar.TypeLink, "bin/ash", "./bin/sh"),
		link(tar.TypeSymlink, "sbin", "/bin"), dir("dev"), node(tar.TypeChar, "dev/null", 1, 3), node(tar.TypeFifo, "dev/initctl", 0, 0), capable)
}

// What a root archive has arrives as it is, whatever it is compressed with; an
// absolute symbolic link is resolved in the tree, and is one like others.
func TestReads(t *testing.T) {
	for name, pack := range map[string]func(io.Writer) io.WriteCloser{
		"plain": func(w io.Writer) io.WriteCloser { return nopCloser{w} },
		"gzip":  func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
		"zstd":  func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
		"xz":    func(w io.Writer) io.WriteCloser { z, _ := xz.NewWriter(w); return z },
	} {
		var packed bytes.Buffer
		z := pack(&packed)
		z.Write(plain(t))
		z.Close()
		m := &members{}
		if err := read(packed.Bytes(), m, Limits{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, e := range m.entries {
			got = append(got, fmt.Sprintf("%c %s%s%s", e.Type, e.Path, e.Target, e.Link))
		}
		want := fmt.Sprintf("%c .|%c bin|%c bin/sh|%c bin/ashbin/sh|%c sbin/bin|%c dev|%c dev/null|%c dev/initctl|%c bin/ping",
			tree.Dir, tree.Dir, tree.File, tree.File, tree.Symlink, tree.Dir, tree.Char, tree.Fifo, tree.File)
		if strings.Join(got, "|") != want {
			t.Errorf("%s:\n got %s\nwant %s", name, strings.Join(got, "|"), want)
		}
		if x := m.entries[len(m.entries)-1].Xattrs; len(x) != 1 || x["security.capability"] != "\x01" {
			t.Errorf("%s: attributes %q", name, x)
		}
		if m.contents["bin/sh"] != "a shell" {
			t.Errorf("%s: contents %q", name, m.contents)
		}
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// What could leave the tree, reach hardware or say two things at once is
// refused, and the message names it.
func TestRefusesHostileMembers(t *testing.T) {
	sparse := member{Header: tar.Header{Typeflag: tar.TypeReg, Name: "etc/holes", PAXRecords: map[string]string{
		"GNU.xparse.major": "1", "GNU.xparse.minor": "0", "GNU.xparse.name": "etc/holes", "GNU.xparse.realsize": "99999999999"}}, content: "1\n0\n512\n" + strings.Repeat("\x00", 504)}
	overlay := file("etc/shown", "x")
	overlay.PAXRecords = map[string]string{"SCHILY.xattr.trusted.overlay.redirect": "/etc"}
	foreign := file("etc/owned", "x")
	foreign.Uid = 70000
	for name, c := range map[string]struct {
		list []member
		want string
	}{
		"climbs":           {[]member{file("../etc/passwd", "x")}, `"../etc/passwd" contains ..`},
		"climbs inside":    {[]member{file("etc/../../x", "x")}, `"etc/../../x" contains ..`},
		"absolute":         {[]member{file("/etc/passwd", "x")}, `"/etc/passwd" is absolute`},
		"absolute link":    {[]member{file("etc/a", "x"), link(tar.TypeLink, "etc/b", "/etc/shadow")}, `the link "etc/b" to "/etc/shadow" is absolute`},
		"climbing link":    {[]member{file("etc/a", "x"), link(tar.TypeLink, "etc/b", "../../etc/shadow")}, `contains ..`},
		"link to nothing":  {[]member{link(tar.TypeLink, "etc/b", "etc/shadow")}, `which is no file before it`},
		"link to a link":   {[]member{link(tar.TypeSymlink, "etc/a", "/etc"), link(tar.TypeLink, "etc/b", "etc/a")}, `which is no file before it`},
		"behind a link":    {[]member{link(tar.TypeSymlink, "etc/a", "/"), file("etc/a/passwd", "x")}, `"etc/a/passwd" lies behind the symbolic link "etc/a"`},
		"in a file":        {[]member{file("etc/a", "x"), file("etc/a/b", "x")}, `lies in "etc/a", which is no folder`},
		"disk":             {[]member{node(tar.TypeBlock, "dev/sda", 8, 0)}, `"dev/sda" is a node of the block device 8:0`},
		"memory":           {[]member{node(tar.TypeChar, "dev/mem", 1, 1)}, `"dev/mem" is a node of the character device 1:1`},
		"hidden memory":    {[]member{node(tar.TypeChar, "etc/null", 1, 3)}, `"etc/null" is a node`},
		"whiteout":         {[]member{node(tar.TypeChar, "etc/passwd", 0, 0)}, `"etc/passwd" is a node`},
		"twice":            {[]member{file("etc/a", "x"), file("./etc/a", "y")}, `"etc/a" comes twice`},
		"folder, file":     {[]member{dir("etc/a"), link(tar.TypeSymlink, "etc/a", "/")}, `"etc/a" comes twice`},
		"sparse":           {[]member{sparse}, `sparse`},
		"overlay":          {[]member{overlay}, `"trusted.overlay.redirect"`},
		"owner":            {[]member{foreign}, `owned by 70000:0`},
		"root is a file":   {[]member{link(tar.TypeSymlink, ".", "/")}, `the root is no folder`},
		"no root":          {[]member{dir("root.x86_64"), dir("root.x86_64/etc")}, `none of /etc, /usr, /bin and /sbin at its top`},
		"empty":            {nil, `none of /etc`},
		"unknown type":     {[]member{{Header: tar.Header{Typeflag: 'Z', Name: "etc/z"}}}, `unknown type`},
		"a very long part": {[]member{file("etc/"+strings.Repeat("a", 256), "x")}, `part of 256 bytes`},
	} {
		// the standard library writes no sparse files
		data := bytes.ReplaceAll(archive(t, c.list...), []byte("xparse"), []byte("sparse"))
		err := read(data, &members{}, Limits{})
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", name, err, c.want)
		}
	}
}

// An archive that unpacks to far more than its size, or that has more members
// than allowed, is left before it fills the disk.
func TestRefusesBombs(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	w := tar.NewWriter(z)
	const size = 256 << 20
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "etc/zeros", Size: size}); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		w.Write(zeros)
	}
	w.Close()
	z.Close()
	if err := read(bomb.Bytes(), &discard{}, Limits{}); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "far more than its size") {
		t.Errorf("a bomb of %d bytes: %v", bomb.Len(), err)
	}
	if err := read(plain(t), &members{}, Limits{Entries: 3}); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "more than 3 members") {
		t.Errorf("many members: %v", err)
	}
}

// discard reads contents and keeps none.
type discard struct{}

func (discard) Add(_ tree.Entry, content io.Reader) error {
	if content == nil {
		return nil
	}
	_, err := io.Copy(io.Discard, content)
	return err
}

// A broken archive is an error that says so, never a smaller tree.
func TestRefusesBrokenArchives(t *testing.T) {
	whole := plain(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(whole)
	z.Close()
	flipped := bytes.Clone(packed.Bytes())
	flipped[len(flipped)-6] ^= 1 // the checksum at the end
	for name, data := range map[string][]byte{
		"cut short":        whole[:600],
		"cut after a file": archive(t, file("etc/a", "x"))[:1024],
		"no end mark":      whole[:len(whole)-1024],
		"no byte":          nil,
		"compressed, cut":  packed.Bytes()[:packed.Len()-9],
		"wrong checksum":   flipped,
		"not an archive":   []byte(strings.Repeat("hello ", 300)),
		"bzip2":            []byte("BZh91AY&SY"),
		"an image of zero": make([]byte, 1<<16),
	} {
		if err := read(data, &discard{}, Limits{}); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(plain(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &members{}
		if read(data, m, Limits{Total: 8 << 20, Entries: 1000}) != nil {
			return
		}
		for _, e := range m.entries {
			if strings.HasPrefix(e.Path, "/") || strings.Contains("/"+e.Path+"/", "/../") || e.Type == tree.Block {
				t.Errorf("%q was taken", e.Path)
			}
		}
	})
}
