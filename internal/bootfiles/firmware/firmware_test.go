package firmware

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"slipway/internal/bootfiles/modules"
)

// elf makes a file with one section, .modinfo.
func elf(info string) []byte {
	names := "\x00.modinfo\x00.shstrtab\x00"
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	le([]uint16{1, 62})                                     // relocatable, x86-64
	le(uint32(1))                                           // version
	le([]uint64{0, 0, uint64(64 + len(info) + len(names))}) // entry, segments, sections
	le(uint32(0))                                           // flags
	le([]uint16{64, 0, 0, 64, 3, 2})                        // sizes and counts; names are in section 2
	b.WriteString(info + names)                             // at 64
	section := func(name, kind uint32, offset, size int) {
		le([]uint32{name, kind})
		le([]uint64{0, 0, uint64(offset), uint64(size)})
		le([]uint32{0, 0})
		le([]uint64{1, 0})
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(info))
	section(10, 3, 64+len(info), len(names))
	return b.Bytes()
}

func TestNames(t *testing.T) {
	got, err := Names(elf("license=GPL\x00firmware=b/x.bin\x00firmware=a.bin\x00firmware=a.bin\x00firmware=../etc/shadow\x00firmware=/abs\x00firmware=\x00"))
	if err != nil || !slices.Equal(got, []string{"a.bin", "b/x.bin"}) {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := Names(elf("")); err != nil || len(got) != 0 {
		t.Errorf("without any: %q, %v", got, err)
	}
	if _, err := Names([]byte("no ELF")); err == nil {
		t.Error("text is a module")
	}
}

func TestDemands(t *testing.T) {
	root := fstest.MapFS{
		"lib/modules/1/modules.dep":             {Data: []byte("kernel/wifi-card.ko.xz:\nkernel/plain.ko:\n")},
		"lib/modules/1/modules.alias":           {Data: []byte("alias pci:v1* wifi_card\n")},
		"lib/modules/1/modules.builtin":         {Data: []byte("kernel/gpu.ko\n")},
		"lib/modules/1/modules.builtin.modinfo": {Data: []byte("gpu.firmware=gpu/one.bin\x00gpux.firmware=other\x00")},
		"lib/modules/1/kernel/wifi-card.ko.xz":  {Data: []byte("xz:firmware")},
		"lib/modules/1/kernel/plain.ko":         {Data: elf("license=GPL\x00")},
		"lib/firmware/wifi/2.bin.xz":            {Data: []byte("x")},
		"usr/lib/firmware/wifi/3.bin":           {Data: []byte("x")},
	}
	tree, err := modules.Open(root, "1")
	if err != nil {
		t.Fatal(err)
	}
	unpack := func(ending string, r io.Reader) (io.Reader, error) {
		return bytes.NewReader(elf("firmware=wifi/1.bin\x00firmware=wifi/2.bin\x00firmware=wifi/3.bin\x00")), nil
	}
	got, err := Demands(root, tree, []string{"pci:v1d2", "plain", "gpu", "unknown"}, unpack)
	if err != nil {
		t.Fatal(err)
	}
	want := []Demand{
		{"wifi_card", []string{"lib/firmware/wifi/2.bin.xz", "usr/lib/firmware/wifi/3.bin"}, []string{"wifi/1.bin"}},
		{"gpu", nil, []string{"gpu/one.bin"}},
	}
	if len(got) != 2 {
		t.Fatalf("got %+v", got)
	}
	for i, d := range got {
		if d.Module != want[i].Module || !slices.Equal(d.Found, want[i].Found) || !slices.Equal(d.Missing, want[i].Missing) {
			t.Errorf("got %+v, want %+v", d, want[i])
		}
	}
	if _, err := Demands(root, tree, []string{"wifi-card"}, nil); err == nil || !strings.Contains(err.Error(), "nothing here decompresses .xz") {
		t.Errorf("without a decompressor: %v", err)
	}
}

func FuzzNames(f *testing.F) {
	f.Add(elf("firmware=a\x00"))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := Names(data)
		total := 0
		for _, n := range names {
			total += len(n)
		}
		if err == nil && total > 1<<20+64*len(data) {
			t.Errorf("%d bytes of names from %d", total, len(data))
		}
	})
}
