package imagetest

import (
	"fmt"
	"strings"

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
