package qcow2

import (
	"context"
	"fmt"
	"io"
	"math/bits"

	"slipway/internal/image"
)

// Write writes a volume as an image, without compression, to a writer that
// takes bytes in order. It asks the volume twice: first to see which clusters
// have data, then for them.
func Write(ctx context.Context, w io.Writer, v image.Volume) error {
	if err := write(ctx, w, v); err != nil {
		return fmt.Errorf("writing a qcow2 image: %w", err)
	}
	return nil
}

func write(ctx context.Context, w io.Writer, v image.Volume) error {
	if err := checkSize(v.Size()); err != nil {
		return err
	}
	m := make(used, l1Entries(v.Size()))
	if err := cut(ctx, v, func(i int64, _ []byte) error { m.set(i); return nil }); err != nil {
		return err
	}
	s := &stream{w: w, used: m, region: -1}
	if err := s.head(v.Size()); err != nil {
		return err
	}
	if err := cut(ctx, v, s.cluster); err != nil {
		return err
	}
	if s.next != s.end {
		return fmt.Errorf("the volume wrote other bytes the second time: %d bytes of clusters, not %d", s.next, s.end)
	}
	return nil
}

// used says which clusters have data, for each L2 table that has any.
type used []*[perL2 / 64]uint64

func (u used) set(i int64) {
	r, n := i/perL2, i%perL2
	if u[r] == nil {
		u[r] = new([perL2 / 64]uint64)
	}
	u[r][n/64] |= 1 << (n % 64)
}

func (u used) has(i int64) bool {
	r, n := i/perL2, i%perL2
	return r < int64(len(u)) && u[r] != nil && u[r][n/64]>>(n%64)&1 != 0
}

// region counts the clusters with data of one L2 table.
func (u used) region(r int) (n int64) {
	if u[r] == nil {
		return 0
	}
	for _, w := range u[r] {
		n += int64(bits.OnesCount64(w))
	}
	return n
}

// stream writes the tables first, then each L2 table in front of its data.
type stream struct {
	w         io.Writer
	used      used
	region    int   // whose L2 table was written last
	next, end int64 // offsets of the next cluster, and behind the last
}

// head writes what comes before the first L2 table.
func (s *stream) head(size int64) error {
	h := header{size: (size + 511) &^ 511, l1Size: l1Entries(size), l1: clusterSize}
	l1Clusters := clusters(int64(h.l1Size) * 8)
	data, l2 := int64(0), int64(0)
	per := make([]int64, h.l1Size)
	for r := range per {
		if per[r] = s.used.region(r); per[r] > 0 {
			l2++
			data += per[r]
		}
	}
	blocks, table := refTables(1 + l1Clusters + data + l2)
	total := 1 + l1Clusters + table + blocks + data + l2
	h.table, h.tableClusters = (1+l1Clusters)*clusterSize, int(table)
	s.next, s.end = (1+l1Clusters+table+blocks)*clusterSize, total*clusterSize
	b, err := h.marshal()
	if err != nil {
		return err
	}
	at := s.next
	l1 := make([]uint64, h.l1Size)
	for r, n := range per {
		if n > 0 {
			l1[r] = uint64(at) | flagCopied
			at += (1 + n) * clusterSize
		}
	}
	b = append(b, pad(appendTable(nil, l1))...)
	refs := make([]uint64, blocks)
	for i := range refs {
		refs[i] = uint64(h.table + (table+int64(i))*clusterSize)
	}
	b = append(b, pad(appendTable(nil, refs))...)
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.counts(total, blocks)
}

func (s *stream) counts(total, blocks int64) error {
	for range blocks {
		refs := make([]uint16, min(total, perBlock))
		for i := range refs {
			refs[i] = 1
		}
		total -= int64(len(refs))
		if _, err := s.w.Write(pad(counts(refs))); err != nil {
			return err
		}
	}
	return nil
}

// cluster writes the cluster with some index, and its L2 table when it is the
// first of it.
func (s *stream) cluster(i int64, data []byte) error {
	if !s.used.has(i) {
		return fmt.Errorf("the volume wrote other bytes the second time: cluster %d was zeros", i)
	}
	if r := int(i / perL2); r != s.region {
		s.region = r
		if err := s.table(r); err != nil {
			return err
		}
	}
	s.next += clusterSize
	_, err := s.w.Write(data)
	return err
}

func (s *stream) table(r int) error {
	s.next += clusterSize
	at, l2 := s.next, make([]uint64, perL2)
	for i := range l2 {
		if s.used.has(int64(r)*perL2 + int64(i)) {
			l2[i] = uint64(at) | flagCopied
			at += clusterSize
		}
	}
	_, err := s.w.Write(appendTable(make([]byte, 0, clusterSize), l2))
	return err
}
