package squashfs

import (
	"encoding/binary"
	"fmt"
	"math"
)

// idTable lists the owners; inodes have indexes into it.
type idTable struct {
	at    map[uint32]uint16
	table []byte
}

func (t *idTable) index(id uint32) (uint16, error) {
	if i, ok := t.at[id]; ok {
		return i, nil
	}
	if len(t.at) == math.MaxUint16 {
		return 0, fmt.Errorf("the tree has more than the %d different owners and groups that the format can hold", len(t.at))
	}
	if t.at == nil {
		t.at = make(map[uint32]uint16)
	}
	i := uint16(len(t.at))
	t.at[id] = i
	t.table = binary.LittleEndian.AppendUint32(t.table, id)
	return i, nil
}
