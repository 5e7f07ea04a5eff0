package imagetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/tree"
)

// Tree is a tree to write.
type Tree struct {
	Name     string
	Manifest *tree.Manifest
	Content  tree.Bytes
}

// netRaw is a version 2 file capability: cap_net_raw=ep.
const netRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

const day = 1_700_000_000 // the time of most entries

// Trees are all trees of the kit, made anew on every call.
func Trees() []Tree { return []Tree{everything(), names(), small(), bare()} }

type builder struct {
	Tree
}

func newTree(name string) *builder {
	return &builder{Tree{name, &tree.Manifest{}, tree.Bytes{}}}
}

func (b *builder) add(e tree.Entry) {
	if e.MTime == 0 {
		e.MTime = day
	}
	b.Manifest.Entries = append(b.Manifest.Entries, e)
}

func (b *builder) dir(path string) { b.add(tree.Entry{Path: path, Type: tree.Dir, Mode: 0o755}) }

func (b *builder) file(path, content string, e tree.Entry) {
	e.Path, e.Type, e.Size, e.Digest = path, tree.File, int64(len(content)), b.Content.Add([]byte(content))
	if e.Mode == 0 {
		e.Mode = 0o644
	}
	b.add(e)
}

func (b *builder) done() Tree {
	b.Manifest.Sort()
	return b.Tree
}

// everything has each kind of entry and attribute.
func everything() Tree {
	b := newTree("everything")
	b.dir(".")
	b.dir("dev")
	b.add(tree.Entry{Path: "dev/null", Type: tree.Char, Mode: 0o666, Major: 1, Minor: 3})
	b.add(tree.Entry{Path: "dev/sda", Type: tree.Block, Mode: 0o660, GID: 6, Major: 8, Minor: 0})
	b.add(tree.Entry{Path: "dev/nvme0n1p300", Type: tree.Block, Mode: 0o660, GID: 6, Major: 259, Minor: 70000})
	b.add(tree.Entry{Path: "dev/log", Type: tree.Socket, Mode: 0o666})
	b.add(tree.Entry{Path: "dev/initctl", Type: tree.Fifo, Mode: 0o600})
	b.dir("empty")
	b.add(tree.Entry{Path: "tmp", Type: tree.Dir, Mode: 0o1777, MTime: 1})
	b.add(tree.Entry{Path: "mail", Type: tree.Dir, Mode: 0o2775, GID: 8})
	b.add(tree.Entry{Path: "bin", Type: tree.Symlink, Mode: 0o777, Target: "usr/bin"})
	b.add(tree.Entry{Path: "loop", Type: tree.Symlink, Mode: 0o777, Target: "loop"})
	b.dir("usr")
	b.dir("usr/bin")
	b.file("usr/bin/su", "#!su\n", tree.Entry{Mode: 0o4755})
	b.file("usr/bin/ping", "ping\n", tree.Entry{Mode: 0o755, Xattrs: map[string]string{"security.capability": netRaw}})
	b.file("usr/bin/perl", "perl\n", tree.Entry{Mode: 0o755})
	b.file("usr/bin/perl5", "perl\n", tree.Entry{Mode: 0o755})
	b.Manifest.Entries[len(b.Manifest.Entries)-1].Link = "usr/bin/perl"
	b.file("same", "perl\n", tree.Entry{}) // equal content, but no hard link
	b.file("owned", "o", tree.Entry{UID: 1000, GID: 4_000_000, Mode: 0o600})
	b.file("attrs", "a", tree.Entry{Xattrs: map[string]string{"user.text": "a=b\n", "user.binary": "\x00\xff\x00", "user.empty": ""}})
	b.file("zero", "", tree.Entry{Mode: 0o400})
	b.file("old", "old", tree.Entry{MTime: -86400})
	b.file("exact", strings.Repeat("x", 4096), tree.Entry{})
	return b.done()
}

// names has all that is awkward in a name.
func names() Tree {
	b := newTree("names")
	b.dir(".")
	for _, n := range []string{"-rf", " blank ", "new\nline", "\xff\xfe not utf-8", "größe", "a\\b", "%s", "...", "back`tick$(x)", "=", "ustar"} {
		b.file(n, "content of "+n, tree.Entry{})
	}
	long := strings.Repeat("long", 60)
	b.dir(long)
	b.dir(long + "/" + long)
	b.file(long+"/"+long+"/"+long, "deep", tree.Entry{})
	b.add(tree.Entry{Path: "link", Type: tree.Symlink, Mode: 0o777, Target: long + "/" + long + "/" + long})
	b.file(long+"/hard", "deep link", tree.Entry{})
	b.file("zz-hard", "deep link", tree.Entry{})
	b.Manifest.Entries[len(b.Manifest.Entries)-1].Link = long + "/hard"
	for _, n := range []int{99, 100, 101, 155, 156, 255} {
		b.file(strings.Repeat("n", n), "", tree.Entry{})
	}
	return b.done()
}

// small has many small files.
func small() Tree {
	b := newTree("small")
	b.dir(".")
	for i := range 10 {
		b.dir(fmt.Sprintf("d%02d", i))
		for j := range 50 {
			b.file(fmt.Sprintf("d%02d/f%02d", i, j), strings.Repeat(fmt.Sprint(i, j), j), tree.Entry{MTime: day + int64(j)})
		}
	}
	return b.done()
}

func bare() Tree {
	b := newTree("bare")
	b.dir(".")
	return b.done()
}

// Compressible is a tree large enough that a compressor works in several
// pieces: 1.5 MB, half of it random.
func Compressible() Tree {
	b := newTree("compressible")
	b.dir(".")
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 6 {
		data := make([]byte, 256<<10)
		for j := range data {
			if j%1000 < 500 {
				data[j] = byte(r.Uint32())
			}
		}
		b.file(fmt.Sprintf("f%02d", i), string(data), tree.Entry{})
	}
	return b.done()
}

// onDisk gives what a folder extracted by this user on this filesystem cannot
// show: owners and devices without root, attributes that the filesystem or the
// user has not, and the time of the root folder.
func onDisk(dir string) func(*tree.Manifest) {
	root := os.Geteuid() == 0
	devices := unix.Mknod(filepath.Join(dir, "try"), unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))) == nil
	user := unix.Setxattr(dir, "user.try", nil, 0) == nil
	os.Remove(filepath.Join(dir, "try"))
	unix.Removexattr(dir, "user.try")
	return func(m *tree.Manifest) {
		kept := m.Entries[:0]
		for _, e := range m.Entries {
			if (e.Type == tree.Char || e.Type == tree.Block) && !devices {
				continue
			}
			if !root {
				e.UID, e.GID = 0, 0
			}
			x := make(map[string]string)
			for k, v := range e.Xattrs {
				if root && !strings.HasPrefix(k, "user.") || user && strings.HasPrefix(k, "user.") {
					x[k] = v
				}
			}
			if e.Xattrs = x; len(x) == 0 {
				e.Xattrs = nil
			}
			if e.Path == "." {
				e.MTime, e.MNsec, e.Mode, e.UID, e.GID = 0, 0, 0, 0, 0
			}
			kept = append(kept, e)
		}
		m.Entries = kept
	}
}
