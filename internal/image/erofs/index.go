package erofs

import "encoding/binary"

// The index of a compressed content: a header (struct z_erofs_map_header), a
// gap, and 8 bytes for each cluster of 4 KiB.
const (
	indexHeader     = 16
	adviseBig       = 2       // Z_EROFS_ADVISE_BIG_PCLUSTER_1
	blockCount      = 1 << 11 // the first number of the second cluster is a number of blocks
	clusterPlain    = 0
	clusterHead     = 1
	clusterFollower = 2
)

func indexSize(size int64) int64 { return indexHeader + 8*((size+blockSize-1)/blockSize) }

// appendIndex appends the index of an inode.
func (n *inode) appendIndex(b []byte) []byte {
	b = append(b, 0, 0, 0, 0, adviseBig, 0, 0, 0) // LZ4, clusters of 4 KiB
	b = append(b, make([]byte, indexHeader-8)...)
	addr := n.blkaddr
	for i, x := range n.extents {
		end := 0 // of the content in its last cluster, if that is not full
		if i == len(n.extents)-1 {
			end = int(n.size % blockSize)
		}
		if x.blocks == 0 {
			for range x.clusters {
				b = appendCluster(b, clusterPlain, 0, addr)
				addr++
			}
			continue
		}
		b = x.appendTo(b, addr, end)
		addr += uint32(x.blocks)
	}
	return b
}

// appendTo appends the clusters of a compressed extent. A last cluster that is
// not full looks like the beginning of another extent where the content ends.
func (x extent) appendTo(b []byte, addr uint32, end int) []byte {
	last := int(x.clusters)
	if end > 0 {
		last--
	}
	b = appendCluster(b, clusterHead, 0, addr)
	for i := 1; i < last; i++ {
		back := uint32(i)
		if i == 1 {
			back = blockCount | uint32(x.blocks)
		}
		b = appendCluster(b, clusterFollower, 0, back|uint32(last-i)<<16)
	}
	if end > 0 {
		b = appendCluster(b, clusterPlain, end, 0)
	}
	return b
}

func appendCluster(b []byte, kind, offset int, value uint32) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(kind))
	b = binary.LittleEndian.AppendUint16(b, uint16(offset))
	return binary.LittleEndian.AppendUint32(b, value)
}
