package ext4

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// Hashes as debugfs computes them (dx_hash -h half_md4 -s SEED NAME).
func TestNameHash(t *testing.T) {
	seed := [16]byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x46, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}
	for name, want := range map[string][2]uint32{
		"hello":                            {0x82d3fb3c, 0xffaa1be0},
		"a":                                {0x9f74e550, 0x109b8eb9},
		"lost+found":                       {0xd3c2aa24, 0xd55fa39d},
		"größe":                            {0x31c3b83c, 0x07badfc7},
		"\xff\xfe":                         {0xc4d2846a, 0x9ffa0205},
		"exactly-thirty-two-bytes-in-name": {0x2f27b7d0, 0x9ea11992},
		"a name that is rather longer than thirty-two bytes, and again more than sixty-four": {0xa0ab2010, 0x0ec2caba},
	} {
		if major, minor := nameHash(name, &seed); major != want[0] || minor != want[1] {
			t.Errorf("%q: %#x %#x, want %#x", name, major, minor, want)
		}
	}
}

// Folders of one block, with one level of index and with two. e2fsck checks
// every hash; the kernel must find names, and put new ones between them.
func TestFolders(t *testing.T) {
	need(t, "e2fsck", "debugfs")
	long := strings.Repeat("long", 61)
	for _, c := range []struct {
		n, depth int
		name     string
	}{{0, -1, ""}, {100, -1, "%d"}, {15, -1, long + "%05d"}, {16, 0, long + "%05d"}, {5000, 0, "file-%d"}, {9000, 1, long + "%06d"}} {
		t.Run(fmt.Sprint(c.n, " names"), func(t *testing.T) {
			name := func(i int) string { return fmt.Sprintf(c.name, i) }
			m, content := folderOf(c.n, name)
			img := write(t, m, content, image.VolumeOptions{Size: 256 << 20})
			clean(t, img)
			if c.n > 0 {
				out, err := run("debugfs", "-R", "htree_dump /d", img)
				indexed, deep := strings.Contains(out, "Root node dump"), strings.Contains(out, "Indirect levels: 1")
				if err != nil || indexed != (c.depth >= 0) || deep != (c.depth == 1) {
					t.Errorf("want depth %d, got %t %t, %v", c.depth, indexed, deep, err)
				}
			}
			if c.n == 0 || canMount() != "" {
				return
			}
			script := `cd "$1/d" && ls -f | wc -l && ls "$2" >/dev/null && for i in $(seq 300); do echo $i >new$i; done && rm -f *7`
			out, err := mounted(img, "rw", script, name(c.n/2))
			if want := fmt.Sprintln(c.n + 2); err != nil || out != want {
				t.Errorf("got %q, %v", out, err)
			}
			clean(t, img)
		})
	}
}

// More than a block's worth of equal hashes never happens by itself; the hash
// of an entry that begins a block is marked when it goes on from the last one.
func TestCollision(t *testing.T) {
	x := &index{leaves: []int{2, 3, 4}}
	for _, major := range []uint32{2, 8, 8, 10} {
		x.list = append(x.list, hashed{major: major})
	}
	if got := x.leafPointers(); got[0] != (pointer{0, 1}) || got[1] != (pointer{9, 2}) || got[2] != (pointer{10, 3}) {
		t.Error(got)
	}
}

// A folder with more subfolders than links can be counted.
func TestManySubfolders(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second")
	}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}}}
	for i := range maxLinks {
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprintf("%05d", i), Type: tree.Dir, Mode: 0o755})
	}
	clean(t, write(t, m, tree.Bytes{}, image.VolumeOptions{}))
}

// lost+found of a tree keeps what it has.
func TestLostFound(t *testing.T) {
	need(t, "debugfs")
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}, {Path: "lost+found", Type: tree.Dir, Mode: 0o711, UID: 7},
		{Path: "lost+found/x", Type: tree.Fifo, Mode: 0o600}}}
	for range 2 {
		img := write(t, m, tree.Bytes{}, image.VolumeOptions{})
		clean(t, img)
		out := must(t, "debugfs", "-R", "ls -l /", img)
		if !strings.Contains(out, "11   40711 (2)      7") {
			t.Error(out)
		}
		m.Entries = m.Entries[:2]
	}
}

func TestMain(m *testing.M) {
	os.Setenv("DEBUGFS_PAGER", "cat")
	os.Exit(m.Run())
}
