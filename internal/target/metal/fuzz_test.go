package metal

import (
	"bytes"
	"testing"
)

// FuzzLoadOption reads what a firmware may keep as a boot entry, and what a
// disk may begin with: neither makes slipway fail, and the device path of an
// entry of ours is found again.
func FuzzLoadOption(f *testing.F) {
	entry := BootEntry{Label: "web", Partition: 1, Path: ESPPath("EFI/BOOT/BOOTX64.EFI")}
	f.Add(entry.encode())
	f.Add([]byte{1, 0, 0, 0, 4, 0, 0, 0, 0x7f, 0xff, 4, 0})
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 'w', 0})
	f.Add([]byte("LUKS\xba\xbe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		nodes := nodesOf(b)
		if len(nodes) > 0 && !bytes.Contains(b, nodes) {
			t.Errorf("%x is not of %x", nodes, b)
		}
		foreign(bytes.NewReader(b))
		e := BootEntry{Label: string(bytes.Map(func(r rune) rune {
			if r == 0 || r > 0xffff {
				return 'x'
			}
			return r
		}, b[:min(len(b), 64)])), Path: `\X.EFI`}
		if got := nodesOf(e.encode()); len(got) != 42+4+2*len(`\X.EFI`)+2+4 {
			t.Errorf("label %q: a device path of %d bytes", e.Label, len(got))
		}
	})
}
