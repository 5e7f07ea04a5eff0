package cpio

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/compress"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

func TestConformance(t *testing.T) {
	for _, c := range []compress.Format{compress.None, compress.Zstd, compress.Gzip, compress.XZ} {
		suffix := strings.TrimSuffix(".cpio."+string(c), ".")
		f := imagetest.Format{Writer: Writer{c}, Suffix: suffix, Read: Read, Lost: lost, Judges: []imagetest.Judge{gnu(c)}}
		t.Run(suffix, func(t *testing.T) {
			if c == compress.XZ { // it is slow, and the rest does not depend on it
				tr := imagetest.Trees()[0]
				imagetest.RunTree(t, f, tr.Manifest, tr.Content)
				return
			}
			imagetest.Run(t, f)
		})
	}
}

func lost(m *tree.Manifest) {
	for i := range m.Entries {
		e := &m.Entries[i]
		e.Xattrs, e.MNsec, e.MTime = nil, 0, max(e.MTime, 0)
	}
}

func gnu(c compress.Format) imagetest.Judge {
	unpack := map[compress.Format]string{compress.None: "cat", compress.Zstd: "zstd -dc", compress.Gzip: "gzip -dc", compress.XZ: "xz -dc"}[c]
	return imagetest.Judge{
		Name: "GNU cpio",
		Lost: func(m *tree.Manifest) { // it leaves times of these as they come
			for i := range m.Entries {
				if e := &m.Entries[i]; e.Type == tree.Dir || e.Type == tree.Symlink {
					e.MTime, e.MNsec = 0, 0
				}
			}
		},
		Available: func() string {
			for _, p := range []string{"cpio", strings.Fields(unpack)[0]} {
				if _, err := exec.LookPath(p); err != nil {
					return p + " is not installed"
				}
			}
			return ""
		},
		Extract: func(image, dir string) error {
			script := unpack + ` <"$1" | cpio -idm --quiet -D "$2"`
			if os.Geteuid() != 0 { // devices cannot be made
				script += ` -f 'dev/[ns]*'`
			}
			if out, err := exec.Command("sh", "-ec", script, "sh", image, dir).CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		},
	}
}

func TestSpecialTrees(t *testing.T) {
	f := imagetest.Format{Writer: Writer{compress.Zstd}, Suffix: ".cpio.zst", Read: Read, Lost: lost}
	for _, tr := range []imagetest.Tree{imagetest.Sparse(), imagetest.Big()} {
		t.Run(tr.Name, func(t *testing.T) { imagetest.RunTree(t, f, tr.Manifest, tr.Content) })
	}
	m, c := imagetest.Huge()
	err := f.Writer.Write(context.Background(), io.Discard, m, c, image.Options{})
	if err == nil || !strings.Contains(err.Error(), `"huge"`) {
		t.Errorf("4 GiB + 1: got error %v", err)
	}
}

func TestBytes(t *testing.T) {
	c := tree.Bytes{}
	d := c.Add([]byte("hello"))
	m := &tree.Manifest{Entries: []tree.Entry{
		{Path: ".", Type: tree.Dir, Mode: 0o755, MTime: 16},
		{Path: "a", Type: tree.File, Mode: 0o644, Size: 5, Digest: d},
		{Path: "b", Type: tree.File, Mode: 0o644, Size: 5, Digest: d, Link: "a"},
		{Path: "c", Type: tree.Char, Mode: 0o600, Major: 5, Minor: 1},
	}}
	var b bytes.Buffer
	if err := (Writer{}).Write(context.Background(), &b, m, c, image.Options{}); err != nil {
		t.Fatal(err)
	}
	//                   ino     mode    uid     gid     nlink   mtime   size    device  device  rdev    rdev    name    check
	want := "070701" + "00000001000041ED00000000000000000000000200000010000000000000000000000000000000000000000000000002" + "00000000.\x00" +
		"070701" + "00000002000081A4000000000000000000000002000000000000000000000000000000000000000000000000000000020" + "0000000a\x00" +
		"070701" + "00000002000081A4000000000000000000000002000000000000000500000000000000000000000000000000000000020" + "0000000b\x00hello\x00\x00\x00" +
		"070701" + "000000030000218000000000000000000000000100000000000000000000000000000000000000050000000100000002" + "00000000c\x00" +
		"070701" + "00000000000000000000000000000000000000010000000000000000000000000000000000000000000000000000000B" + "00000000TRAILER!!!\x00\x00\x00\x00"
	want += strings.Repeat("\x00", -len(want)&511)
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
}

func TestRefuses(t *testing.T) {
	root := tree.Entry{Path: ".", Type: tree.Dir}
	for want, e := range map[string]tree.Entry{
		`"big": a file of 4294967296 bytes`: {Path: "big", Type: tree.File, Size: 1 << 32},
		"marks the end":                     {Path: trailer, Type: tree.Dir},
		"kernel does not unpack":            {Path: "l", Type: tree.Symlink, Target: strings.Repeat("x", 4096)},
		"4095:1048575":                      {Path: "d", Type: tree.Block, Major: 4096},
	} {
		err := Writer{}.Write(context.Background(), new(bytes.Buffer), &tree.Manifest{Entries: []tree.Entry{root, e}}, tree.Bytes{}, image.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func TestLost(t *testing.T) {
	if got := Lost(imagetest.Trees()[0].Manifest); !slices.Equal(got, []string{"usr/bin/ping"}) {
		t.Errorf("got %q", got)
	}
}

// Two archives in a row, as an initrd with microcode in front has them.
func TestReadSeveral(t *testing.T) {
	c := tree.Bytes{}
	var b bytes.Buffer
	for _, text := range []string{"one", "other"} {
		m := &tree.Manifest{Entries: []tree.Entry{{Path: text, Type: tree.Dir}, {Path: "x", Type: tree.File, Size: int64(len(text)), Digest: c.Add([]byte(text))}}}
		if err := (Writer{}).Write(context.Background(), &b, m, c, image.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	m, _, err := Read(file(t, b.Bytes()))
	if err != nil || len(m.Entries) != 3 || m.Lookup("x").Size != 5 {
		t.Errorf("got %+v, %v", m, err)
	}
}

func file(t testing.TB, b []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "x.cpio")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	tr := imagetest.Trees()[0]
	if err := (Writer{}).Write(context.Background(), &b, tr.Manifest, tr.Content, image.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadRefuses(t *testing.T) {
	good := sample(t)
	for want, b := range map[string][]byte{
		"no archive":     make([]byte, 1024),
		"got magic":      []byte(strings.Repeat("070707", 30)),
		"unexpected EOF": good[:len(good)/2],
		"number 1":       append([]byte("07070100000001gggggggg"), good[22:]...),
		"not clean":      bytes.Replace(good, []byte("dev/sda\x00"), []byte("../asda\x00"), 1),
	} {
		if _, _, err := Read(file(t, b)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(sample(f))
	f.Add([]byte("0707010000000000"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := newReader(bytes.NewReader(b)).read(); err == nil && m.Validate() != nil {
			t.Error("an invalid manifest was read")
		}
	})
}
