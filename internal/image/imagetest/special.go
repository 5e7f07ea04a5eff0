package imagetest

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strings"
	"sync"

	"slipway/internal/tree"
)

// aclUsers is a list for a file of mode 0640: user 1000 may read and write,
// the mask is rw (Linux's posix_acl_xattr, version 2).
const aclUsers = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" + // owner rw-
	"\x02\x00\x06\x00\xe8\x03\x00\x00" + // user 1000 rw-
	"\x04\x00\x04\x00\xff\xff\xff\xff" + // group r--
	"\x10\x00\x06\x00\xff\xff\xff\xff" + // mask rw-
	"\x20\x00\x00\x00\xff\xff\xff\xff" // others ---

// Attributes is a tree of extended attributes: capabilities, access control
// lists, trusted ones, a long and many small ones. Not all formats can hold
// them.
func Attributes() Tree {
	b := newTree("attributes")
	b.dir(".")
	b.file("cap", "cap", tree.Entry{Mode: 0o755, Xattrs: map[string]string{"security.capability": netRaw, "user.x": "y"}})
	b.file("acl", "acl", tree.Entry{Mode: 0o660, Xattrs: map[string]string{"system.posix_acl_access": aclUsers}})
	b.add(tree.Entry{Path: "dir", Type: tree.Dir, Mode: 0o750, Xattrs: map[string]string{"system.posix_acl_default": aclUsers}})
	b.file("trusted", "t", tree.Entry{Xattrs: map[string]string{"trusted.t": "t", "security.t": "s"}})
	b.file("long", "l", tree.Entry{Xattrs: map[string]string{"user.long": strings.Repeat("long", 500)}})
	many := make(map[string]string)
	for i := range 30 {
		many[fmt.Sprintf("user.attribute%d", i)] = fmt.Sprint(i)
	}
	b.file("many", "m", tree.Entry{Xattrs: many})
	b.file("same1", "1", tree.Entry{Xattrs: map[string]string{"user.same": "as the next"}})
	b.file("same2", "2", tree.Entry{Xattrs: map[string]string{"user.same": "as the next"}})
	return b.done()
}

// Sparse is a tree of files with long zeros at their beginning, in the middle
// and at their end, and of nothing else.
func Sparse() Tree {
	b := newTree("sparse")
	b.dir(".")
	hole := func(n int) string { return strings.Repeat("\x00", n) }
	b.file("only", hole(3<<20), tree.Entry{})
	b.file("uneven", hole(2_000_001), tree.Entry{})
	b.file("begin", hole(1<<20)+"data", tree.Entry{})
	b.file("end", "data"+hole(1<<20), tree.Entry{})
	b.file("middle", "a"+hole(1_500_000)+strings.Repeat("b", 70_000)+hole(300_000)+"c", tree.Entry{})
	return b.done()
}

// Big is a tree of 20,000 small files, most of them in one folder.
func Big() Tree {
	b := newTree("big")
	b.dir(".")
	b.dir("many")
	for i := range 18_000 {
		b.file(fmt.Sprintf("many/file-with-a-name-%06d", i), strings.Repeat("x", i%97), tree.Entry{})
	}
	for i := range 100 {
		b.dir(fmt.Sprintf("d%02d", i))
		for j := range 20 {
			b.file(fmt.Sprintf("d%02d/%02d", i, j), fmt.Sprint(i, j), tree.Entry{MTime: day + int64(i)})
		}
	}
	return b.done()
}

// HugeSize is the size of the file that Huge has: one more than 32 bits hold.
const HugeSize = 4<<30 + 1

// Huge is a tree with one file of 4 GiB + 1, nearly all zeros, that is made
// while it is read. Computing its digest takes seconds, once.
func Huge() (*tree.Manifest, tree.Content) {
	b := newTree("huge")
	b.dir(".")
	b.file("small", "small", tree.Entry{})
	b.add(tree.Entry{Path: "huge", Type: tree.File, Mode: 0o644, Size: HugeSize, Digest: hugeDigest()})
	b.Manifest.Sort()
	return b.Manifest, tree.Contents{b.Content, hugeContent{}}
}

var hugeDigest = sync.OnceValue(func() (d tree.Digest) {
	h := sha256.New()
	io.Copy(h, &hugeReader{})
	h.Sum(d[:0])
	return d
})

type hugeContent struct{}

func (hugeContent) Open(d tree.Digest) (io.ReadCloser, error) {
	if d != hugeDigest() {
		return nil, tree.ErrNoContent
	}
	return io.NopCloser(&hugeReader{}), nil
}

// hugeReader gives zeros, a text at every 256 MiB, and "x" at the end.
type hugeReader struct{ at int64 }

const hugeStep = 256 << 20

func (r *hugeReader) Read(b []byte) (int, error) {
	if r.at == HugeSize {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), HugeSize-r.at)]
	clear(b)
	for i := range b {
		n := r.at + int64(i)
		text := fmt.Sprintf("step %02d of the huge file", n/hugeStep)
		if off := n % hugeStep; off < int64(len(text)) {
			b[i] = text[off]
		} else { // on to where the next text begins
			break
		}
	}
	if next := (r.at/hugeStep + 1) * hugeStep; next < r.at+int64(len(b)) {
		b = b[:next-r.at]
	}
	r.at += int64(len(b))
	if r.at == HugeSize {
		b[len(b)-1] = 'x'
	}
	return len(b), nil
}
