package partition

const (
	mbrTable      = 446
	typeGPT       = 0xee
	typeExtended  = 0x05
	typeExtended2 = 0x0f // the same with LBA
	typeExtended3 = 0x85 // the same, Linux's own
)

// mbr is the first sector of any disk with a table: boot code, the disk's
// number, four partitions (UEFI 5.2).
func (t *Table) mbr() []byte {
	b := make([]byte, t.Sector)
	copy(b, t.BootCode)
	b[510], b[511] = 0x55, 0xaa
	switch t.Kind {
	case MBR:
		le.PutUint32(b[440:], t.DiskID)
		for i := range t.Parts {
			t.putMBR(b, t.Parts[i].Number-1, &t.Parts[i])
		}
	case GPT:
		protect(b, t.lastSector())
	case Hybrid:
		le.PutUint32(b[440:], t.DiskID)
		t.hybrid(b)
	}
	return b
}

// hybrid protects what lies before the first partition that it names, so that
// the GPT is found and no two entries overlap.
func (t *Table) hybrid(b []byte) {
	slot, first := 1, t.lastSector()+1
	for i := range t.Parts {
		if p := &t.Parts[i]; p.MBRType != 0 {
			t.putMBR(b, slot, p)
			first = min(first, p.Start/int64(t.Sector))
			slot++
		}
	}
	protect(b, first-1)
}

// protect puts an entry over the whole GPT, or over sectors up to last.
func protect(b []byte, last int64) {
	e := b[mbrTable:]
	copy(e[1:], "\x00\x02\x00") // sector 1 in cylinder, head, sector
	e[4] = typeGPT
	copy(e[5:], "\xff\xff\xff")
	le.PutUint32(e[8:], 1)
	le.PutUint32(e[12:], uint32(min(last, 1<<32-1)))
}

func (t *Table) putMBR(b []byte, slot int, p *Part) {
	e := b[mbrTable+16*slot:]
	if p.Active {
		e[0] = 0x80
	}
	start, count := p.Start/int64(t.Sector), p.Size/int64(t.Sector)
	putCHS(e[1:], start)
	e[4] = p.MBRType
	putCHS(e[5:], start+count-1)
	le.PutUint32(e[8:], uint32(start))
	le.PutUint32(e[12:], uint32(count))
}

// putCHS writes a sector as cylinder, head and sector of a disk with 255 heads
// and 63 sectors a track; what is beyond 1024 cylinders is the last one.
func putCHS(b []byte, lba int64) {
	c, h, s := lba/(255*63), lba/63%255, lba%63+1
	if c > 1023 {
		c, h, s = 1023, 254, 63
	}
	b[0], b[1], b[2] = byte(h), byte(s)|byte(c>>8<<6), byte(c)
}
