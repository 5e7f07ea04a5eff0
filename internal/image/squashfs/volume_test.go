package squashfs

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

func TestPlan(t *testing.T) {
	tr := imagetest.Compressible()
	ctx := context.Background()
	var want bytes.Buffer
	if err := (Writer{}).Write(ctx, &want, tr.Manifest, tr.Content, image.Options{}); err != nil {
		t.Fatal(err)
	}
	if want.Len()%padding != 0 {
		t.Errorf("size %d", want.Len())
	}
	for _, size := range []int64{0, int64(want.Len()), 16 << 20} {
		v, err := Plan(ctx, tr.Manifest, tr.Content, image.VolumeOptions{Size: size})
		if err != nil {
			t.Fatal(err)
		}
		if n := max(size, int64(want.Len())); v.Size() != n {
			t.Errorf("size %d, want %d", v.Size(), n)
		}
		for range 2 {
			var got bytes.Buffer
			if err := v.Write(ctx, &got); err != nil {
				t.Fatal(err)
			}
			pad := make([]byte, v.Size()-int64(want.Len()))
			if !bytes.Equal(got.Bytes(), append(want.Bytes(), pad...)) {
				t.Errorf("size %d: other bytes than Writer's", size)
			}
		}
		v.(io.Closer).Close()
	}
	_, err := Plan(ctx, tr.Manifest, tr.Content, image.VolumeOptions{Size: 8192})
	if err == nil || !strings.Contains(err.Error(), "it needs") {
		t.Errorf("too small: got error %v", err)
	}
}

// An output that can be patched gets the same bytes, from where it stands on;
// one that only appends gets them too.
func TestDirect(t *testing.T) {
	tr := imagetest.Compressible()
	var want bytes.Buffer
	if err := (Writer{}).Write(context.Background(), &want, tr.Manifest, tr.Content, image.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, flag := range []int{0, os.O_APPEND} {
		name := filepath.Join(t.TempDir(), "image")
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|flag, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString("before")
		if err := (Writer{}).Write(context.Background(), f, tr.Manifest, tr.Content, image.Options{}); err != nil {
			t.Fatal(err)
		}
		f.WriteString("after")
		f.Close()
		got, _ := os.ReadFile(name)
		if string(got) != "before"+want.String()+"after" {
			t.Errorf("flag %#x: other bytes", flag)
		}
	}
}

func size(t *testing.T, w Writer, m *tree.Manifest, c tree.Content) int64 {
	t.Helper()
	var n image.Counter
	n.W = io.Discard
	if err := w.Write(context.Background(), &n, m, c, image.Options{}); err != nil {
		t.Fatal(err)
	}
	return n.N
}

// noise is what no compressor makes smaller.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestSizes(t *testing.T) {
	c := tree.Bytes{}
	random := noise(300 << 10)
	twice := append(append([]byte{}, random[:60<<10]...), random[:60<<10]...)
	file := func(path string, b []byte) tree.Entry {
		return tree.Entry{Path: path, Type: tree.File, Size: int64(len(b)), Digest: c.Add(b)}
	}
	for name, test := range map[string]struct {
		files []tree.Entry
		max   int64
	}{
		"noise":      {[]tree.Entry{file("a", random)}, 304 << 10},
		"duplicates": {[]tree.Entry{file("a", random), file("b", random), file("c", random)}, 304 << 10},
		"fragment":   {[]tree.Entry{file("a", random[:50<<10]), file("b", random[:50<<10])}, 56 << 10},
		"matches":    {[]tree.Entry{file("a", twice)}, 68 << 10},
		"zeros":      {[]tree.Entry{file("a", make([]byte, 8<<20))}, 4096},
		"few zeros":  {[]tree.Entry{file("a", make([]byte, 8<<10))}, 4096},
	} {
		m := &tree.Manifest{Entries: append([]tree.Entry{dir(".")}, test.files...)}
		for _, w := range []Writer{{}, {Compression: Gzip}, {Compression: XZ}} {
			got := size(t, w, m, c)
			if w.Compression == Gzip && name == "matches" { // beyond its window
				continue
			}
			if got > test.max {
				t.Errorf("%s %s: %d bytes, want at most %d", name, w.Compression, got, test.max)
			}
		}
	}
}

func TestSettings(t *testing.T) {
	m := &tree.Manifest{}
	for want, w := range map[string]Writer{
		"unknown compression": {Compression: "lz77"},
		"no power of two":     {BlockSize: 100_000},
		"to 1048576":          {BlockSize: 2 << 20},
		"no level 5":          {Level: 5},
		"no level 1":          {Compression: XZ, Level: 1},
	} {
		err := w.Write(context.Background(), io.Discard, m, tree.Bytes{}, image.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got error %v", w, err)
		}
	}
	if size(t, Writer{}, m, tree.Bytes{}) != padding {
		t.Error("a tree of nothing")
	}
}

func TestCannotHold(t *testing.T) {
	long := strings.Repeat("x", 256)
	for want, e := range map[string]tree.Entry{
		"the name has more":    {Path: long, Type: tree.Fifo},
		"symbolic link has":    {Path: "a", Type: tree.Symlink, Target: strings.Repeat("x", 4096)},
		"device number 4096:0": {Path: "a", Type: tree.Char, Major: 4096},
		"system.other":         {Path: "a", Type: tree.Fifo, Xattrs: map[string]string{"system.other": ""}},
	} {
		m := &tree.Manifest{Entries: []tree.Entry{dir("."), e}}
		err := Writer{}.Write(context.Background(), io.Discard, m, tree.Bytes{}, image.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	var ids idTable
	for i := range uint32(1<<16 - 1) {
		if _, err := ids.index(i); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := ids.index(1 << 16); err == nil {
		t.Error("too many owners are no error")
	}
}

func TestWithoutACL(t *testing.T) {
	// user::rwx group::r-- user:7:rwx mask::rwx other::---
	list := "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\x07\x00\x00\x00" +
		"\x04\x00\x04\x00\xff\xff\xff\xff" + "\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	for _, test := range []struct {
		list       string
		mode, want uint32
	}{
		{list, 0o770, 0o740},
		{list, 0o2730, 0o2700},
		{list[:6], 0o775, 0o705},
		{"", 0o775, 0o705},
	} {
		e := &tree.Entry{Mode: test.mode, Xattrs: map[string]string{aclAccess: test.list, "user.x": "y"}}
		got := withoutACL(e)
		if got.Mode != test.want || len(got.Xattrs) != 1 || len(e.Xattrs) != 2 || e.Mode != test.mode {
			t.Errorf("%#o with %q: got %#o, want %#o", test.mode, test.list, got.Mode, test.want)
		}
	}
	e := &tree.Entry{Mode: 0o775, Xattrs: map[string]string{aclDefault: list}}
	if got := withoutACL(e); got.Mode != 0o775 || len(got.Xattrs) != 0 {
		t.Errorf("got %+v", got)
	}
}
