package squashfs

import (
	"encoding/binary"
	"maps"

	"slipway/internal/tree"
)

// The attributes in which Linux keeps POSIX access control lists.
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"
)

// Layout and tags of linux/posix_acl_xattr.h.
const (
	aclHead     = 4
	aclEntry    = 8
	aclGroupObj = 0x04
)

// withoutACL gives an entry without access control lists, which squashfs has
// no place for: with them, the group's bits of the mode are the mask of all
// that the list allows, so without them they become what the group itself
// was allowed. Nobody can do more than before.
func withoutACL(e *tree.Entry) *tree.Entry {
	list, access := e.Xattrs[aclAccess]
	_, inherited := e.Xattrs[aclDefault]
	if !access && !inherited {
		return e
	}
	out := *e
	out.Xattrs = maps.Clone(e.Xattrs)
	delete(out.Xattrs, aclAccess)
	delete(out.Xattrs, aclDefault)
	if access {
		out.Mode &^= 0o070
		out.Mode |= e.Mode & (groupBits(list) << 3)
	}
	return &out
}

// groupBits are the permissions of the owning group in an access control list.
// One that cannot be read gives none.
func groupBits(list string) uint32 {
	b := []byte(list)
	for b = b[min(aclHead, len(b)):]; len(b) >= aclEntry; b = b[aclEntry:] {
		if binary.LittleEndian.Uint16(b) == aclGroupObj {
			return uint32(binary.LittleEndian.Uint16(b[2:])) & 7
		}
	}
	return 0
}
