package ext4

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

// extracted copies a mounted image out and scans it.
func extracted(t *testing.T, img string) *tree.Manifest {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "out")
	if _, err := mounted(img, "ro", `cp -a "$1" "$2"`, dir); err != nil {
		t.Fatal(err)
	}
	m, err := tree.Scan(context.Background(), dir, tree.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	noLostFound(m)
	return m
}

// Times, as far as ext4 can hold them, to the nanosecond.
func TestTimes(t *testing.T) {
	if why := canMount(); why != "" {
		t.Skip(why)
	}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}}}
	for i, sec := range []int64{minTime, -1, 0, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1<<33 + 5, maxTime} {
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprint(i), Type: tree.Symlink, Target: "x", Mode: 0o777, MTime: sec, MNsec: 999999999})
	}
	img := write(t, m, tree.Bytes{}, image.VolumeOptions{})
	out, err := mounted(img, "ro", `cd "$1" && stat -c %.9Y [0-9]`)
	want := "-2147483647.000000001\n-0.000000001\n0.999999999\n2147483647.999999999\n2147483648.999999999\n4294967295.999999999\n4294967296.999999999\n8589934597.999999999\n15032385535.999999999\n"
	if err != nil || out != want {
		t.Errorf("got %s, %v", out, err)
	}
}

// What the kernel writes stays consistent, and the disk can be filled.
func TestReadWrite(t *testing.T) {
	need(t, "e2fsck")
	if why := canMount(); why != "" {
		t.Skip(why)
	}
	tr := imagetest.Compressible()
	for _, size := range []int64{0, 300 << 20} {
		img := write(t, tr.Manifest, tr.Content, image.VolumeOptions{Size: size})
		script := `cd "$1" && rm f00 && mkdir d && for i in $(seq 50); do cp f01 d/$i || break; done 2>/dev/null; sync && cmp f01 d/1 && rm d/1 && cat f02 >>f03`
		if _, err := mounted(img, "rw", script); err != nil {
			t.Error(err)
		}
		clean(t, img)
	}
}

// Room for more descriptors is prepared, as the kernel and resize2fs want it.
func TestGrow(t *testing.T) {
	need(t, "e2fsck", "resize2fs")
	tr := imagetest.Compressible()
	for _, size := range []int64{0, 64 << 20, 200 << 20, 600 << 20} {
		img := write(t, tr.Manifest, tr.Content, image.VolumeOptions{Size: size})
		if err := os.Truncate(img, 40<<30); err != nil {
			t.Fatal(err)
		}
		must(t, "resize2fs", img)
		clean(t, img)
	}
}

// The same while it is mounted.
func TestGrowMounted(t *testing.T) {
	need(t, "e2fsck", "resize2fs", "losetup")
	if why := canMount(); why != "" {
		t.Skip(why)
	}
	tr := imagetest.Compressible()
	img := write(t, tr.Manifest, tr.Content, image.VolumeOptions{Size: 1 << 30})
	if err := os.Truncate(img, 20<<30); err != nil {
		t.Fatal(err)
	}
	script := `out=$(resize2fs "$(findmnt -no SOURCE "$1")" 2>&1) || { echo "$out"; exit 1; }; stat -fc %b "$1"`
	out, err := mounted(img, "rw", script)
	if err != nil && strings.Contains(err.Error(), "Permission denied") {
		t.Skip("growing a mounted filesystem needs CAP_SYS_RESOURCE")
	}
	if blocks, _ := strconv.Atoi(strings.TrimSpace(out)); err != nil || blocks < 19<<30/blockSize {
		t.Errorf("%q, %v", out, err)
	}
	clean(t, img)
}

// GRUB's own driver reads it: small files, large ones, links and long folders.
func TestGRUB(t *testing.T) {
	need(t, "grub-fstest")
	tr := imagetest.Compressible()
	m := &tree.Manifest{Entries: append([]tree.Entry(nil), tr.Manifest.Entries...)}
	m.Entries = append(m.Entries, tree.Entry{Path: "many", Type: tree.Dir, Mode: 0o755},
		tree.Entry{Path: "to", Type: tree.Symlink, Target: "f03"}, tree.Entry{Path: "slow", Type: tree.Symlink, Target: strings.Repeat("./", 100) + "f03"})
	for i := range 2000 {
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprintf("many/name-%d", i), Type: tree.File, Digest: tree.Empty, Mode: 0o644})
	}
	m.Sort()
	img := write(t, m, tr.Content, image.VolumeOptions{Size: 200 << 20})
	if got := strings.Count(must(t, "grub-fstest", img, "ls", "(loop0)/many/"), "name-"); got != 2000 {
		t.Errorf("%d names, want 2000", got)
	}
	file := filepath.Join(t.TempDir(), "f03")
	if err := os.WriteFile(file, tr.Content[m.Lookup("f03").Digest], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f03", "to", "slow"} {
		must(t, "grub-fstest", img, "cmp", "(loop0)/"+name, file)
	}
}
