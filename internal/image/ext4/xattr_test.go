package ext4

import (
	"fmt"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// An access control list in the kernel's form: user::rw-, user:1000:r--,
// group::r--, group:50:rwx, mask::rwx, other::---.
const acl = "\x02\x00\x00\x00" +
	"\x01\x00\x06\x00\xff\xff\xff\xff" +
	"\x02\x00\x04\x00\xe8\x03\x00\x00" +
	"\x04\x00\x04\x00\xff\xff\xff\xff" +
	"\x08\x00\x07\x00\x32\x00\x00\x00" +
	"\x10\x00\x07\x00\xff\xff\xff\xff" +
	"\x20\x00\x00\x00\xff\xff\xff\xff"

func TestDiskACL(t *testing.T) {
	got, err := diskACL(acl)
	want := "\x01\x00\x00\x00" + "\x01\x00\x06\x00" + "\x02\x00\x04\x00\xe8\x03\x00\x00" + "\x04\x00\x04\x00" +
		"\x08\x00\x07\x00\x32\x00\x00\x00" + "\x10\x00\x07\x00" + "\x20\x00\x00\x00"
	if err != nil || got != want {
		t.Errorf("%q, %v", got, err)
	}
}

func xattrTree() (*tree.Manifest, tree.Bytes) {
	m, c := &tree.Manifest{}, tree.Bytes{}
	m.Entries = []tree.Entry{
		{Path: ".", Type: tree.Dir, Mode: 0o755, Xattrs: map[string]string{"user.root": "1"}},
		{Path: "acl", Type: tree.File, Digest: tree.Empty, Mode: 0o670, Xattrs: map[string]string{aclAccess: acl}},
		{Path: "both", Type: tree.Dir, Mode: 0o670, Xattrs: map[string]string{aclAccess: acl, aclDefault: acl, "user.x": strings.Repeat("x", 40), "trusted.y": "y"}},
		{Path: "large", Type: tree.File, Digest: tree.Empty, Mode: 0o644, Xattrs: map[string]string{"user.large": strings.Repeat("large", 799), "user.a": "", "security.b": "b"}},
		{Path: "large-same", Type: tree.File, Digest: tree.Empty, Mode: 0o644, Xattrs: map[string]string{"user.same": strings.Repeat("other", 100)}},
		{Path: "link", Type: tree.Symlink, Target: "x", Mode: 0o777, Xattrs: map[string]string{"trusted.link": strings.Repeat("t", 100)}},
	}
	for i := range xattrMaxRefs + 10 { // more than can share a block
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprintf("share%04d", i), Type: tree.File, Digest: tree.Empty, Mode: 0o644,
			Xattrs: map[string]string{"user.same": strings.Repeat("same", 100)}})
	}
	return m, c
}

func TestXattrs(t *testing.T) {
	m, c := xattrTree()
	img := write(t, m, c, image.VolumeOptions{})
	clean(t, img)
	if why := canMount(); why != "" {
		t.Skip(why)
	}
	got := extracted(t, img)
	if d := tree.Compare(m, got); len(d) > 0 {
		t.Errorf("%d differences, the first: %+v\n%+v", len(d), d[0].Attrs, d[0].B)
	}
	// The kernel takes files out of a shared block, and lets some of them go.
	script := `cd "$1" && for i in share00*; do cp --attributes-only --preserve=xattr large-same $i || exit; done && rm share01* acl`
	if _, err := mounted(img, "rw", script); err != nil {
		t.Error(err)
	}
	clean(t, img)
	got = extracted(t, img)
	for path, want := range map[string]string{"share0007": "other", "share0500": "same"} {
		if e := got.Lookup(path); e == nil || e.Xattrs["user.same"] != strings.Repeat(want, 100) {
			t.Errorf("%s: %+v", path, e)
		}
	}
}
