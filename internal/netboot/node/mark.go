package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"slipway/internal/target/metal"
)

// Where a mark lies on a disk: in the space that every partition table of ours
// leaves free before its first partition at 1 MiB, behind GRUB's core on a
// disk with an MBR.
const (
	markOffset = 896 << 10
	markSize   = 4 << 10
	markMagic  = "slipway: installed machine\n"
)

// encode is the mark as it lies on a disk.
func (m Mark) encode() ([]byte, error) {
	m.Disk, m.Serial = "", ""
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	out := make([]byte, markSize)
	if n := copy(out, markMagic); copy(out[n:len(out)-1], text) != len(text) {
		return nil, fmt.Errorf("the mark of %s has more than %d bytes", m.Machine, markSize)
	}
	return out, nil
}

// place puts the mark into the first bytes of a disk, which the disk's writer
// holds back until all others were read back. Where it would overwrite
// something, as in a file system without a table, there is none.
func (m Mark) place(head []byte) error {
	if len(head) < markOffset+markSize {
		return nil
	}
	room := head[markOffset : markOffset+markSize]
	if len(bytes.Trim(room, "\x00")) > 0 || bytes.Equal(head[510:512], []byte{0, 0}) {
		return nil
	}
	data, err := m.encode()
	copy(room, data)
	return err
}

// readMark finds the mark of a disk; nil without one.
func readMark(r io.ReaderAt) *Mark {
	b := make([]byte, markSize)
	if _, err := r.ReadAt(b, markOffset); err != nil {
		return nil
	}
	text, ok := bytes.CutPrefix(b, []byte(markMagic))
	m := new(Mark)
	if !ok || json.Unmarshal(bytes.TrimRight(text, "\x00"), m) != nil || m.Machine == "" || m.Grant == "" {
		return nil
	}
	return m
}

// marks looks at all disks.
func marks(disks []*metal.Device) []Mark {
	var out []Mark
	for _, d := range disks {
		f, err := os.Open(d.Path)
		if err != nil {
			continue
		}
		if m := readMark(f); m != nil {
			m.Disk, m.Serial = d.Path, d.Serial
			out = append(out, *m)
		}
		f.Close()
	}
	return out
}
