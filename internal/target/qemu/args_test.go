package qemu

import (
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// cases are machines whose command lines are kept as golden files.
var cases = map[string]struct {
	config Config
	wiring wiring
}{
	"direct": {
		Config{Name: "web", Boot: Boot{Kernel: "/k", Initrd: "/i,1", Cmdline: "console=ttyS0 root=UUID=1"}, CPUs: 2, ConsoleLog: "/log,file",
			Disks: []Disk{{Path: "/d.raw", Serial: "one"}, {Path: "/o.qcow2", Format: "qcow2", Ephemeral: true, Slot: "05.0"}},
			NICs:  []NIC{{Tap: os.Stdin}, {Model: "e1000e", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Slot: "02"}}},
		wiring{accel: Accel{Name: "tcg", Major: 10, Sandbox: true}, dirs: []string{"/data"}, qmp: 3, console: 4, agent: 5, nics: []int{6, 0}},
	},
	"old-qemu": {
		Config{Name: "old", NoAgent: true, Paused: true, NoReboot: true, Extra: []string{"-d", "int"}},
		wiring{accel: Accel{Name: "tcg", Major: 7}, qmp: 3, console: 4},
	},
	"uefi-ports": {
		Config{Name: "fw", Boot: Boot{Firmware: "uefi"}, Memory: 1 << 30, TPM: "/tpm", OEMStrings: []string{"a,b"},
			Disks: []Disk{{Path: "/n", Bus: "nvme", Slot: "0000:03:00.0"}, {Path: "/s", Bus: "scsi", Sector: 4096, ReadOnly: true}, {Path: "/u", Bus: "usb"}},
			NICs:  []NIC{{Stream: os.Stdin, Boot: 1, Slot: "01:00.0"}}, Shares: []Share{{Tag: "data", Path: "/srv/a,b"}, {Tag: "nine", Path: "/nine", ReadOnly: true}}},
		wiring{accel: Accel{Name: "kvm", Major: 10, Sandbox: true}, code: "/code.fd", vars: "/vars.fd", qmp: 3, console: 4, agent: 5, nics: []int{6},
			shares: []wire{{"virtiofs", 7}, {"9p", 0}}, tpm: 8},
	},
	"bios": {
		Config{Name: "b", Boot: Boot{Firmware: "bios"}, Disks: []Disk{{Path: "/a", Bus: "ahci"}, {Path: "/b", Bus: "ahci"}}},
		wiring{accel: Accel{Name: "tcg", Major: 10}, qmp: 3, console: 4, agent: 5},
	},
	"arm64": {
		Config{Name: "arm", Arch: "arm64", Boot: Boot{Firmware: "uefi"}, Disks: []Disk{{Path: "/a", Bus: "ahci"}}},
		wiring{accel: Accel{Name: "tcg", Major: 10}, code: "/c", vars: "/v", qmp: 3, console: 4, agent: 5},
	},
}

func TestArguments(t *testing.T) {
	for name, c := range cases {
		config := c.config.defaults()
		args, err := config.arguments(&c.wiring)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var text strings.Builder
		for i, a := range args {
			if i > 0 && strings.HasPrefix(a, "-") {
				text.WriteByte('\n')
			} else if i > 0 {
				text.WriteByte(' ')
			}
			text.WriteString(a)
		}
		text.WriteByte('\n')
		file := filepath.Join("testdata", name+".args")
		if *update {
			if err := os.WriteFile(file, []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || string(want) != text.String() {
			t.Errorf("%s: the command line is\n%s\nwant (-update writes it)\n%s", name, text.String(), want)
		}
	}
}

func TestSlotConflicts(t *testing.T) {
	for slots, want := range map[string]string{
		"05.0 5": "is taken by network card 1", "1f.2 06": "is taken by the chipset", "06 05.2": "needs a device at 00:05.0",
		"05.0 05.2": "", "2:0 02:00.1": "", "x 3": "no PCI address", "11:00.0 3": "no PCI address", "01:02.0 3": "only device 00",
	} {
		first, second, _ := strings.Cut(slots, " ")
		c := Config{Name: "m", NICs: []NIC{{Slot: first}}, Disks: []Disk{{Path: "/x", Slot: second}}}.defaults()
		_, err := c.arguments(&wiring{nics: []int{0}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", slots, err, want)
		}
	}
}

// TestPlacesAreStable: a further card does not move a disk.
func TestPlacesAreStable(t *testing.T) {
	line := func(c Config, nics []int) string {
		c = c.defaults()
		args, err := c.arguments(&wiring{nics: nics})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range args {
			if strings.HasPrefix(a, "virtio-blk-pci") {
				return a
			}
		}
		return ""
	}
	one := line(Config{Name: "m", Disks: []Disk{{Path: "/x"}}, NICs: make([]NIC, 1)}, make([]int, 1))
	six := line(Config{Name: "m", Disks: []Disk{{Path: "/x"}}, NICs: make([]NIC, 6)}, make([]int, 6))
	if one != six || one == "" {
		t.Errorf("%q became %q", one, six)
	}
}

func TestTooManyDevices(t *testing.T) {
	c := Config{Name: "m", NICs: make([]NIC, 40)}.defaults()
	if _, err := c.arguments(&wiring{nics: make([]int, 40)}); err == nil || !strings.Contains(err.Error(), "too many devices") {
		t.Errorf("got %v", err)
	}
}

func TestMAC(t *testing.T) {
	if got := MAC("web", 0).String(); !strings.HasPrefix(got, "52:54:00:") || got != MAC("web", 0).String() || got == MAC("web", 1).String() || got == MAC("db", 0).String() {
		t.Errorf("%s, %s, %s", got, MAC("web", 1), MAC("db", 0))
	}
}

func FuzzParseSlot(f *testing.F) {
	for _, s := range []string{"05.0", "1f", "03:00.0", "0000:01:00.1", "", ":", "10:0.7"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		slot, err := ParseSlot(text)
		if err != nil {
			return
		}
		again, err := ParseSlot(slot.String())
		if err != nil || again != slot {
			t.Errorf("%q is %v, which is %v, %v", text, slot, again, err)
		}
	})
}
