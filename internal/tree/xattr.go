package tree

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// capability is the attribute that holds file capabilities. In a user
// namespace the kernel stores version 3, which adds the id of the namespace's
// root; what belongs to the machine is version 2. The layouts are struct
// vfs_cap_data and vfs_ns_cap_data of linux/capability.h.
const (
	capability = "security.capability"

	capRevisionMask = 0xff000000
	capRevision2    = 0x02000000
	capRevision3    = 0x03000000
	capSize2        = 20
	capSize3        = 24
)

// capabilityV2 drops the namespace from a version 3 value. Others stay.
func capabilityV2(v string) string {
	if len(v) != capSize3 || v[3] != capRevision3>>24 {
		return v
	}
	return v[:3] + string(rune(capRevision2>>24)) + v[4:capSize2]
}

// ignoredXattr names what is the host's, its file system's or the overlay's,
// not the tree's: xfs shows how it stores access control lists.
func ignoredXattr(name string) bool {
	for _, p := range []string{"trusted.overlay.", "user.overlay.", "trusted.SGI_ACL_", "btrfs."} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	switch name {
	case "security.selinux", "security.ima", "security.evm", "security.SMACK64":
		return true
	}
	return false
}

// overlayWhiteout marks, in an upper folder, a file that hides a lower one
// where no device node could be made.
func overlayWhiteout(name string) bool {
	return name == "trusted.overlay.whiteout" || name == "user.overlay.whiteout"
}

var xattrBuffers = sync.Pool{New: func() any { b := make([]byte, MaxXattr); return &b }}

// readXattrs reads the attributes of a path without following it.
func readXattrs(path string) (m map[string]string, whiteout bool, err error) {
	buf := xattrBuffers.Get().(*[]byte)
	defer xattrBuffers.Put(buf)
	n, err := unix.Llistxattr(path, *buf)
	if err != nil && !errors.Is(err, unix.ENOTSUP) {
		return nil, false, fmt.Errorf("listing extended attributes of %s: %w", path, err)
	}
	if err != nil || n == 0 {
		return nil, false, nil
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string((*buf)[:n]), "\x00"), "\x00") {
		whiteout = whiteout || overlayWhiteout(name)
		if ignoredXattr(name) {
			continue
		}
		n, err := unix.Lgetxattr(path, name, *buf)
		if errors.Is(err, unix.ENODATA) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading the extended attribute %s of %s: %w", name, path, err)
		}
		if m == nil {
			m = make(map[string]string)
		}
		v := string((*buf)[:n])
		if name == capability {
			v = capabilityV2(v)
		}
		m[name] = v
	}
	return m, whiteout, nil
}
