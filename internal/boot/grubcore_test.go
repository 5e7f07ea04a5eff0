package boot

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// core makes a second stage of n sectors as grub-mkimage does.
func core(sectors int, segment uint16) []byte {
	b := bytes.Repeat([]byte{0xcc}, sectors*512)
	binary.LittleEndian.PutUint64(b[grubBlocklist:], 0)
	binary.LittleEndian.PutUint16(b[grubBlocklist+8:], uint16(sectors-1))
	binary.LittleEndian.PutUint16(b[grubBlocklist+10:], segment)
	return b
}

func TestPlaceGRUB(t *testing.T) {
	first := bootSector()
	whole := core(5, 0x820)
	g, err := newGRUB(first, whole[:5*512-100]) // grub-mkimage does not fill the last sector
	if err != nil {
		t.Fatal(err)
	}
	if g.Size() != 5*512 {
		t.Errorf("size %d", g.Size())
	}
	code, second, err := g.Place(34 * 512)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(first[:440])
	want[0x5c] = 34                     // sector of the second stage
	want[0x64] = 0xff                   // the drive that the BIOS says
	want[0x66], want[0x67] = 0x90, 0x90 // no jump over the check of the drive
	if !bytes.Equal(code, want) {
		t.Errorf("first sector\n got %x\nwant %x", code, want)
	}
	if got := second[0x1f4:0x200]; !bytes.Equal(got, []byte{35, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0x20, 0x08}) {
		t.Errorf("list of sectors %x", got)
	}
	if !bytes.Equal(second[512:5*512-100], whole[512:5*512-100]) || len(second) != 5*512 {
		t.Error("the rest changed")
	}
	if again, _, _ := g.Place(34 * 512); !bytes.Equal(again, code) || first[0x5c] != 0 {
		t.Error("placing changed what is placed")
	}
}

func TestPlaceFar(t *testing.T) {
	g, err := newGRUB(bootSector(), core(2, 0x820))
	if err != nil {
		t.Fatal(err)
	}
	code, second, err := g.Place(3 << 40) // beyond 32 bits of sectors
	if err != nil || binary.LittleEndian.Uint64(code[0x5c:]) != 3<<31 || binary.LittleEndian.Uint64(second[0x1f4:]) != 3<<31+1 {
		t.Errorf("%v, %x", err, code[0x5c:0x64])
	}
	for _, offset := range []int64{0, -512, 513, 511} {
		if _, _, err := g.Place(offset); err == nil {
			t.Errorf("placed at %d", offset)
		}
	}
}

func TestForeignGRUB(t *testing.T) {
	for _, c := range []struct {
		name        string
		first, core []byte
		want        string
	}{
		{"no boot sector", make([]byte, 512), core(2, 0x820), "boot.img is no boot sector"},
		{"short boot sector", bootSector()[:511], core(2, 0x820), "boot.img is no boot sector"},
		{"one sector", bootSector(), core(1, 0x820), "want more than 512"},
		{"huge", bootSector(), core(1000, 0x820), "at most 491520"},
		{"other length", bootSector(), append(core(3, 0x820), make([]byte, 512)...), "wants 2 sectors loaded at segment 0x820, it has 3"},
		{"other segment", bootSector(), core(3, 0x1000), "segment 0x1000"},
	} {
		if _, err := newGRUB(c.first, c.core); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestGRUBConfiguration(t *testing.T) {
	r := must(t, debian, under("bios"), Disk)
	text := string(r.BIOS.core)
	for _, want := range []string{
		"-O i386-pc -d ", " -p /boot/grub ", " part_gpt part_msdos ext2 btrfs xfs fat ", " biosdisk",
		"search.fs_uuid 0f0f0f0f-0000-4000-8000-000000000001 root\nset prefix=($root)/boot/grub\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("grub-mkimage was not given %q: %s", want, text)
		}
	}
}

func TestGRUBForUEFI(t *testing.T) {
	d := under("uefi")
	d.Boot.Loader = "grub"
	r := must(t, debian, d, Disk)
	if !strings.Contains(read(t, r, 0, "EFI/BOOT/BOOTX64.EFI"), "-O x86_64-efi") || read(t, r, 1, "boot/grub/x86_64-efi/all_video.mod") == "" ||
		read(t, r, 1, "boot/grub/grub.cfg") == "" || r.BIOS != nil {
		t.Error("GRUB for UEFI is not whole")
	}
}
