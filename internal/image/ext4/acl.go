package ext4

import (
	"encoding/binary"
	"errors"
)

const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"

	aclUser  = 0x02
	aclGroup = 0x08
)

var errACL = errors.New("an access control list that is not in the kernel's form")

// diskACL changes an access control list from the form of the system calls
// (version 2 of linux/posix_acl_xattr.h: every entry has an id) to the one on
// disk (version 1 of fs/ext4/acl.h: only those of named users and groups have).
func diskACL(v string) (string, error) {
	if len(v) < 4 || len(v)%8 != 4 || binary.LittleEndian.Uint32([]byte(v)) != 2 {
		return "", errACL
	}
	out := []byte{1, 0, 0, 0}
	for v = v[4:]; v != ""; v = v[8:] {
		n := 4
		if tag := uint16(v[0]) | uint16(v[1])<<8; tag == aclUser || tag == aclGroup {
			n = 8
		}
		out = append(out, v[:n]...)
	}
	return string(out), nil
}
