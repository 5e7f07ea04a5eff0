package ext4

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

func TestConformance(t *testing.T) {
	imagetest.Run(t, imagetest.Format{Writer: Writer{}, Suffix: ".ext4", Judges: judges()})
}

// A volume of a fixed size, large enough for a journal and several groups.
func TestVolume(t *testing.T) {
	imagetest.Run(t, imagetest.Format{Writer: Writer{image.VolumeOptions{Size: 136<<20 + 5000, Label: "root"}}, Suffix: ".ext4", Judges: judges()})
}

func folderOf(n int, name func(int) string) (*tree.Manifest, tree.Bytes) {
	m, c := &tree.Manifest{}, tree.Bytes{}
	m.Entries = append(m.Entries, tree.Entry{Path: ".", Type: tree.Dir, Mode: 0o755})
	if n > 0 {
		m.Entries = append(m.Entries, tree.Entry{Path: "d", Type: tree.Dir, Mode: 0o755})
	}
	for i := range n {
		m.Entries = append(m.Entries, tree.Entry{Path: "d/" + name(i), Type: tree.File, Digest: tree.Empty, Mode: 0o644})
	}
	m.Sort()
	return m, c
}

// Every size has its journal, its division and its backups.
func TestSizes(t *testing.T) {
	need(t, "e2fsck", "debugfs")
	m, c := folderOf(3, func(i int) string { return fmt.Sprint(i) })
	for _, size := range []int64{0, 1 << 20, 3<<20 + 1, 8 << 20, 127 << 20, 128 << 20, 129 << 20, 128<<20 + 300<<10, 1<<30 - 4096, 5<<30 + 77<<20, 40 << 30, 300 << 30} {
		clean(t, write(t, m, c, image.VolumeOptions{Size: size}))
	}
}

// The 64bit feature, and 15 TiB, the most that files of ext4 itself can hold.
func TestWide(t *testing.T) {
	need(t, "e2fsck", "debugfs")
	m, c := folderOf(3, func(i int) string { return fmt.Sprint(i) })
	if !testing.Short() {
		img := write(t, m, c, image.VolumeOptions{Size: 15 << 40})
		if out := must(t, "debugfs", "-R", "ls -l /d", img); strings.Count(out, "\n") < 5 {
			t.Error(out)
		}
	}
	defer func(n int64) { maxNarrow = n }(maxNarrow)
	maxNarrow = 100
	for _, size := range []int64{5 << 20, 1 << 30, 40 << 30} {
		img := write(t, m, c, image.VolumeOptions{Size: size})
		clean(t, img)
		if canMount() == "" {
			if out, err := mounted(img, "rw", `ls "$1"/d; echo >"$1"/new`); err != nil || out != "0\n1\n2\n" {
				t.Errorf("%q, %v", out, err)
			}
			clean(t, img)
		}
	}
}

func TestLabelUUID(t *testing.T) {
	need(t, "dumpe2fs")
	m, c := folderOf(0, nil)
	img := write(t, m, c, image.VolumeOptions{Label: "sixteen-bytes-ab", UUID: [16]byte{0: 0x12, 1: 0x34, 15: 0xff}, Epoch: 1e9, Size: 64 << 20})
	out := must(t, "dumpe2fs", "-h", img)
	for _, want := range []string{"sixteen-bytes-ab\n", "12340000-0000-0000-0000-0000000000ff", "Reserved block count:     819\n", "user_xattr acl",
		"has_journal ext_attr resize_inode dir_index filetype extent flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

func TestTooSmall(t *testing.T) {
	m, c := folderOf(0, nil)
	big := bytes.Repeat([]byte("x"), 3<<20)
	m.Entries = append(m.Entries, tree.Entry{Path: "big", Type: tree.File, Mode: 0o644, Size: int64(len(big)), Digest: c.Add(big)})
	_, err := Plan(context.Background(), m, c, image.VolumeOptions{Size: 2 << 20})
	if err == nil || !strings.Contains(err.Error(), "the tree needs 3170304 bytes, but a volume of 2097152 bytes has only 17") {
		t.Error(err)
	}
	many, c := folderOf(100_000, func(i int) string { return fmt.Sprint(i) })
	_, err = Plan(context.Background(), many, c, image.VolumeOptions{Size: 100 << 20})
	if err == nil || !strings.Contains(err.Error(), "100012 files, folders and links") {
		t.Error(err)
	}
	free := int64(50 << 20)
	v, err := Plan(context.Background(), m, tree.Bytes{tree.Digest{}: nil}, image.VolumeOptions{Free: free})
	if err != nil || v.Size() < free+int64(len(big)) || v.Size() > 2*free || v.Size()%(1<<20) != 0 {
		t.Errorf("%v, %v", v, err)
	}
}

func TestRefused(t *testing.T) {
	root := tree.Entry{Path: ".", Type: tree.Dir}
	long := strings.Repeat("x", 4096)
	for want, es := range map[string][]tree.Entry{
		"no root folder":               {{Path: "x", Type: tree.Fifo}},
		"folder that holds it":         {root, {Path: "a/b", Type: tree.Fifo}},
		"a name of 256":                {root, {Path: long[:256], Type: tree.Fifo}},
		"a link target of 4096":        {root, {Path: "a", Type: tree.Symlink, Target: long}},
		"device number 4096:1":         {root, {Path: "a", Type: tree.Char, Major: 4096, Minor: 1}},
		"a time of":                    {root, {Path: "a", Type: tree.Fifo, MTime: 1 << 34}},
		"needs this name":              {root, {Path: "lost+found", Type: tree.Fifo}},
		"has no place for the name":    {root, {Path: "a", Type: tree.Fifo, Xattrs: map[string]string{"btrfs.x": ""}}},
		"not in the kernel's form":     {root, {Path: "a", Type: tree.Fifo, Xattrs: map[string]string{aclAccess: "\x01\x00\x00\x00"}}},
		"attributes take more than th": {root, {Path: "a", Type: tree.Fifo, Xattrs: map[string]string{"user.x": long}}},
		"a file of":                    {root, {Path: "a", Type: tree.File, Size: 1 << 44}},
	} {
		_, err := Plan(context.Background(), &tree.Manifest{Entries: es}, tree.Bytes{}, image.VolumeOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	for want, opt := range map[string]image.VolumeOptions{
		"label":            {Label: "seventeen-bytes-x"},
		"sectors of 520":   {Sector: 520},
		"a size of -1":     {Size: -1},
		"at most 70368744": {Size: 65 << 40},
	} {
		_, err := Plan(context.Background(), &tree.Manifest{Entries: []tree.Entry{root}}, tree.Bytes{}, opt)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// A volume writes the same bytes again.
func TestTwice(t *testing.T) {
	tr := imagetest.Compressible()
	v, err := Plan(context.Background(), tr.Manifest, tr.Content, image.VolumeOptions{Sector: 4096})
	if err != nil {
		t.Fatal(err)
	}
	var out [2]bytes.Buffer
	for i := range out {
		if err := v.Write(context.Background(), &out[i]); err != nil || int64(out[i].Len()) != v.Size() {
			t.Fatalf("%d bytes, %v", out[i].Len(), err)
		}
	}
	if !bytes.Equal(out[0].Bytes(), out[1].Bytes()) {
		t.Error("other bytes")
	}
}
