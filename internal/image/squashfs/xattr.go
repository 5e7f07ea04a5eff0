package squashfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// noXattrs is the index of an inode without attributes.
const noXattrs = ^uint32(0)

// xattrPrefixes are the kinds of attributes; their place is the type.
var xattrPrefixes = []string{"user.", "trusted.", "security."}

// xattrTable collects sets of extended attributes, equal ones once.
type xattrTable struct {
	pairs *metaWriter
	out   bytes.Buffer // what pairs writes
	table []byte       // of struct squashfs_xattr_id
	at    map[string]uint32
}

func newXattrTable(c codec) *xattrTable {
	t := &xattrTable{at: make(map[string]uint32)}
	t.pairs = newMetaWriter(&t.out, c)
	return t
}

// add gives the index of a set of attributes.
func (t *xattrTable) add(x map[string]string) (uint32, error) {
	if len(x) == 0 {
		return noXattrs, nil
	}
	var b []byte
	names := 0
	for _, k := range slices.Sorted(maps.Keys(x)) {
		var err error
		if b, err = appendXattr(b, k, x[k]); err != nil {
			return 0, err
		}
		names += len(k) + 1
	}
	if i, ok := t.at[string(b)]; ok {
		return i, nil
	}
	i := uint32(len(t.at))
	t.at[string(b)] = i
	le := binary.LittleEndian
	t.table = le.AppendUint64(t.table, t.pairs.ref())
	t.table = le.AppendUint32(t.table, uint32(len(x)))
	t.table = le.AppendUint32(t.table, uint32(names)) // as listxattr gives them
	t.pairs.write(b)
	return i, t.pairs.err
}

// appendXattr appends struct squashfs_xattr_entry and squashfs_xattr_val.
func appendXattr(b []byte, name, value string) ([]byte, error) {
	kind := slices.IndexFunc(xattrPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
	if kind < 0 {
		return nil, fmt.Errorf("squashfs has no place for the extended attribute %s, only for %s* ones; "+
			"take it away, or choose another filesystem", name, strings.Join(xattrPrefixes, "*, "))
	}
	name = name[len(xattrPrefixes[kind]):]
	le := binary.LittleEndian
	b = le.AppendUint16(b, uint16(kind))
	b = le.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	b = le.AppendUint32(b, uint32(len(value)))
	return append(b, value...), nil
}

// writeTo writes the tables and gives the offset of the last, which leads to
// the others.
func (t *xattrTable) writeTo(s *spool, c codec) (uint64, error) {
	if len(t.at) == 0 {
		return invalid, nil
	}
	start := uint64(s.n)
	if err := t.pairs.flush(); err != nil {
		return 0, err
	}
	if _, err := s.Write(t.out.Bytes()); err != nil {
		return 0, err
	}
	return writeTable(s, c, t.table, start, uint64(len(t.at))) // the count has 32 bits, with 32 unused behind
}
