package ext4

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Extended attributes: https://docs.kernel.org/filesystems/ext4/dynamic.html#extended-attributes
const (
	xattrMagic     = 0xea020000
	xattrBodyOff   = 128 + extraSize // in an inode
	xattrBodyRoom  = inodeSize - xattrBodyOff - 4
	xattrHeader    = 32 // of a block
	xattrBlockRoom = blockSize - xattrHeader
	xattrEntry     = 16
	xattrEnd       = 4    // zeros behind the entries
	xattrMaxRefs   = 1024 // inodes that share a block
)

// xattrPrefixes are stored as numbers; the whole names before the prefixes
// they begin with.
var xattrPrefixes = []struct {
	prefix string
	index  byte
}{
	{aclAccess, 2}, {aclDefault, 3}, {"user.", 1}, {"trusted.", 4}, {"security.", 6}, {"system.", 7},
}

type xattr struct {
	index byte
	name  string // behind the prefix
	value string
}

func (x *xattr) size() int { return (xattrEntry+len(x.name)+3)&^3 + (len(x.value)+3)&^3 }

// xattrs are the attributes of an entry as ext4 has them, in its order.
func xattrs(m map[string]string) ([]xattr, error) {
	out := make([]xattr, 0, len(m))
	for k, v := range m {
		x := xattr{value: v}
		for _, p := range xattrPrefixes {
			if rest, ok := strings.CutPrefix(k, p.prefix); ok {
				x.index, x.name = p.index, rest
				break
			}
		}
		var err error
		switch {
		case x.index == 0 || x.name == "" && k != aclAccess && k != aclDefault:
			err = fmt.Errorf("extended attribute %q: ext4 has no place for the name", k)
		case x.name == "":
			x.value, err = diskACL(v)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b xattr) int {
		return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	return out, nil
}

// splitXattrs says which attributes lie in the inode and which in a block.
func splitXattrs(list []xattr) (body, block []xattr, err error) {
	bodyRoom, blockRoom := xattrBodyRoom-xattrEnd, xattrBlockRoom-xattrEnd
	for _, x := range list {
		switch n := x.size(); {
		case n <= bodyRoom:
			body = append(body, x)
			bodyRoom -= n
		case n <= blockRoom:
			block = append(block, x)
			blockRoom -= n
		default:
			return nil, nil, fmt.Errorf("its extended attributes take more than the %d bytes that ext4 has for them",
				xattrBodyRoom+xattrBlockRoom-2*xattrEnd)
		}
	}
	return body, block, nil
}

// putXattrs writes entries from off on, and values from the end of b; values
// are named by their offset from base. It returns the hash of all.
func putXattrs(b []byte, off, base int, list []xattr) (hash uint32) {
	end := len(b)
	for i := range list {
		x := &list[i]
		end -= (len(x.value) + 3) &^ 3
		copy(b[end:], x.value)
		b[off], b[off+1] = byte(len(x.name)), x.index
		if x.value != "" {
			put16(b, off+2, uint16(end-base))
		}
		put32(b, off+8, uint32(len(x.value)))
		h := x.hash()
		put32(b, off+12, h)
		copy(b[off+xattrEntry:], x.name)
		off += (xattrEntry + len(x.name) + 3) &^ 3
		hash = hash<<16 ^ hash>>16 ^ h
	}
	return hash
}

// hash is over the name and the value, padded with zeros, in words.
func (x *xattr) hash() (h uint32) {
	for i := range len(x.name) {
		h = h<<5 ^ h>>27 ^ uint32(x.name[i])
	}
	for v := x.value; v != ""; v = v[min(4, len(v)):] {
		var word [4]byte
		copy(word[:], v)
		h = h<<16 ^ h>>16 ^ binary.LittleEndian.Uint32(word[:])
	}
	return h
}

// xattrBlock makes a block that refs inodes share.
func xattrBlock(list []xattr, refs uint32, number int64, sum crc) []byte {
	b := make([]byte, blockSize)
	put32(b, 0, xattrMagic)
	put32(b, 4, refs)
	put32(b, 8, 1)
	put32(b, 12, putXattrs(b, xattrHeader, 0, list))
	put32(b, 16, uint32(sum.u64(uint64(number)).bytes(b)))
	return b
}

// putXattrBody writes attributes into an inode.
func putXattrBody(inode []byte, list []xattr) {
	if len(list) == 0 {
		return
	}
	put32(inode, xattrBodyOff, xattrMagic)
	putXattrs(inode[:inodeSize], xattrBodyOff+4, xattrBodyOff+4, list)
}
