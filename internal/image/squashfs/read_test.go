package squashfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

// Images of another writer are read too: those with shared attributes and
// fragments at the ends of larger files.
func TestReadOthers(t *testing.T) {
	if why := missing("mksquashfs"); why != "" {
		t.Skip(why)
	}
	c := tree.Bytes{}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}}}
	for i, name := range []string{"a", "b", "c", "d"} {
		b := noise(100_000 * i)
		m.Entries = append(m.Entries, tree.Entry{Path: name, Type: tree.File, Mode: 0o640, Size: int64(len(b)), Digest: c.Add(b), MTime: 5,
			Xattrs: map[string]string{"user.same": strings.Repeat("same", 20), "user.other": name}})
	}
	src := t.TempDir()
	if err := tree.Materialise(context.Background(), src, m, c, tree.MaterialiseOptions{NoOwners: true}); err != nil {
		t.Skip("no attributes here: ", err)
	}
	want, err := tree.Scan(context.Background(), src, tree.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tree.Clamp(want, 1<<32)
	for _, comp := range []string{"zstd", "gzip", "xz"} {
		name := filepath.Join(t.TempDir(), comp)
		if err := run("mksquashfs", src, name, "-comp", comp, "-always-use-fragments", "-no-progress", "-quiet"); err != nil {
			t.Fatal(err)
		}
		got, gotContent, err := Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: (-disk +read)\n%s", comp, d)
		}
		r, err := gotContent.Open(m.Lookup("d").Digest)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, noise(300_000)) {
			t.Errorf("%s: other content; %v", comp, err)
		}
	}
}

func imageOf(t testing.TB, w Writer, tr imagetest.Tree) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := w.Write(context.Background(), &b, tr.Manifest, tr.Content, image.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadRefuses(t *testing.T) {
	good := imageOf(t, Writer{}, imagetest.Trees()[0])
	for _, test := range []struct {
		want   string
		change func([]byte) []byte
	}{
		{"too short", func(b []byte) []byte { return b[:95] }},
		{"cut off", func(b []byte) []byte { return b[:le64(b[40:])-1] }},
		{"got magic", func(b []byte) []byte { b[0] = 'x'; return b }},
		{"got version 3.0", func(b []byte) []byte { b[28] = 3; return b }},
		{"block size 131073", func(b []byte) []byte { b[12] = 1; return b }},
		{"compression 3 is not", func(b []byte) []byte { b[20] = 3; return b }},
		{"owner 0 of 0", func(b []byte) []byte { b[26], b[27] = 0, 0; return b }},
		{"fragment 0 of 0", func(b []byte) []byte { clear(b[16:20]); return b }},
		{"of none", func(b []byte) []byte { binary.LittleEndian.PutUint64(b[56:], invalid); return b }},
		{"beyond the end", func(b []byte) []byte { binary.LittleEndian.PutUint64(b[64:], 1<<40); return b }},
	} {
		b := test.change(bytes.Clone(good))
		_, _, err := read(bytes.NewReader(b), int64(len(b)), 1<<20, 1<<20)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("want an error with %q, got %v", test.want, err)
		}
	}
	if _, _, err := read(bytes.NewReader(good), int64(len(good)), 1000, 1<<20); err == nil || !strings.Contains(err.Error(), errTooDense.Error()) {
		t.Errorf("too dense: got error %v", err)
	}
	if _, _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: got error %v", err)
	}
}

// plain compresses nothing, so that a fuzzer gets at the metadata.
type plain struct{}

func (plain) compress(dst, src []byte) ([]byte, error) { return append(dst, src...), nil }

func FuzzRead(f *testing.F) {
	none := codecs[Gzip]
	none.open = func(int, int) (codec, error) { return plain{}, nil }
	codecs["plain"] = none
	defer delete(codecs, "plain")
	for _, tr := range imagetest.Trees()[:2] {
		f.Add(imageOf(f, Writer{Compression: "plain"}, tr))
		for _, w := range []Writer{{}, {Compression: Gzip, BlockSize: 4096}, {Compression: XZ}} {
			f.Add(imageOf(f, w, tr))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, c, err := read(bytes.NewReader(b), int64(len(b)), 4<<20, 16<<20)
		if err != nil {
			return
		}
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		for i := range m.Entries {
			e := &m.Entries[i]
			if e.Type != tree.File || i > 10 {
				continue
			}
			r, err := c.Open(e.Digest)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, r); err != nil || n != e.Size {
				t.Fatalf("%q: read %d bytes of %d: %v", e.Path, n, e.Size, err)
			}
		}
	})
}
