package erofs

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// xattrPrefixes are the prefixes that a number stands for
// (EROFS_XATTR_INDEX_*). Names with others cannot be held.
var xattrPrefixes = []struct {
	index  byte
	prefix string
	whole  bool // the prefix is the name
}{
	{1, "user.", false},
	{2, "system.posix_acl_access", true},
	{3, "system.posix_acl_default", true},
	{4, "trusted.", false},
	{6, "security.", false},
}

const xattrHeader = 12

// encodeXattrs makes what follows an inode: a header of zeros, for nothing is
// shared, and the attributes, sorted.
func encodeXattrs(x map[string]string) ([]byte, error) {
	if len(x) == 0 {
		return nil, nil
	}
	out := make([]byte, xattrHeader)
	for _, k := range slices.Sorted(maps.Keys(x)) {
		index, rest, err := xattrName(k)
		if err != nil {
			return nil, err
		}
		v := x[k]
		if len(v) > math.MaxUint16 {
			return nil, fmt.Errorf("extended attribute %q of %d bytes, and erofs holds at most %d", k, len(v), math.MaxUint16)
		}
		out = append(out, byte(len(rest)), index)
		out = binary.LittleEndian.AppendUint16(out, uint16(len(v)))
		out = append(append(out, rest...), v...)
		out = append(out, "\x00\x00\x00"[:-len(out)&3]...)
	}
	if xattrCount(out) > math.MaxUint16 {
		return nil, fmt.Errorf("%d bytes of extended attributes, more than erofs holds", len(out))
	}
	return out, nil
}

func xattrName(name string) (index byte, rest string, err error) {
	for _, p := range xattrPrefixes {
		if rest, ok := strings.CutPrefix(name, p.prefix); ok && (rest == "") == p.whole {
			return p.index, rest, nil
		}
	}
	return 0, "", fmt.Errorf("erofs cannot hold the extended attribute %q", name)
}

// xattrCount is i_xattr_icount: the header counts 1, then 4 bytes each.
func xattrCount(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	return 1 + (len(b)-xattrHeader)/4
}
