package qemu

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// missing are programs that are not there.
type missing struct{}

var errMissing = errors.New("getting qemu: no network\nhint: install qemu-system-x86")

func (missing) Command(context.Context, string, string, ...string) (*exec.Cmd, error) {
	return nil, errMissing
}
func (missing) Path(context.Context, string, string) (string, error) { return "", errMissing }

func TestMistakes(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	raw, odd := file("raw", make([]byte, 4096)), file("odd", make([]byte, 700))
	qcow := file("qcow", append([]byte("QFI\xfb"), make([]byte, 508)...))
	empty := file("empty", nil)
	initrd := file("initrd", make([]byte, 8<<20))
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for want, c := range map[string]Config{
		"duplicate: that of card 1 too|MAC address": {NICs: []NIC{{MAC: mac}, {MAC: mac}}},
		"is no address of a card":                   {NICs: []NIC{{MAC: net.HardwareAddr{1, 0, 0, 0, 0, 1}}}},
		"no model \"ne2k\"":                         {NICs: []NIC{{Model: "ne2k"}}},
		"no bus \"floppy\"":                         {Disks: []Disk{{Path: raw, Bus: "floppy"}}},
		"more than 20 bytes":                        {Disks: []Disk{{Path: raw, Serial: strings.Repeat("x", 21)}}},
		"that of disk 1 too":                        {Disks: []Disk{{Path: raw, Serial: "a"}, {Path: raw, Serial: "a"}}},
		"no PCI address of its own":                 {Disks: []Disk{{Path: raw, Bus: "ahci", Slot: "05.0"}}},
		"no ahci disk with sectors of 4096":         {Disks: []Disk{{Path: raw, Bus: "ahci", Sector: 4096}}},
		"no such file":                              {Disks: []Disk{{Path: filepath.Join(dir, "gone")}}},
		"is empty":                                  {Disks: []Disk{{Path: empty}}},
		"whole number of sectors":                   {Disks: []Disk{{Path: odd}}},
		"not a qcow2 image":                         {Disks: []Disk{{Path: raw, Format: "qcow2"}}},
		"is a qcow2 image, not raw":                 {Disks: []Disk{{Path: qcow}}},
		"no format \"vmdk\"":                        {Disks: []Disk{{Path: raw, Format: "vmdk"}}},
		"its kernel cannot be used":                 {Boot: Boot{Kernel: filepath.Join(dir, "gone")}},
		"needs a kernel":                            {Boot: Boot{Initrd: initrd}},
		"cannot hold its initramfs of 8 MiB":        {Boot: Boot{Kernel: raw, Initrd: initrd}, Memory: 50 << 20},
		"no system starts with less":                {Memory: 1 << 20},
		"no firmware \"coreboot\"":                  {Boot: Boot{Firmware: "coreboot"}},
		"arm64 machine has no BIOS":                 {Arch: "arm64", Boot: Boot{Firmware: "bios"}},
		"no virtual machine of architecture s390x":  {Arch: "s390x"},
		"processors; from 1 to 255":                 {CPUs: 300},
		"2 processors are pinned":                   {Pin: []int{0, 1}},
		"is not a folder":                           {RunDir: dir, Shares: []Share{{Tag: "t", Path: raw}}},
		"the tag is used twice":                     {RunDir: dir, Shares: []Share{{Tag: "t", Path: dir}, {Tag: "t", Path: dir}}},
		"need a run folder":                         {Boot: Boot{Firmware: "uefi"}},
		"hint: install qemu":                        {Boot: Boot{Kernel: raw}},
	} {
		c.Name, c.Programs = "m", missing{}
		_, err := Start(t.Context(), c)
		_, sign, ok := strings.Cut(want, "|")
		if !ok {
			sign = want
		}
		if err == nil || !strings.Contains(err.Error(), sign) {
			t.Errorf("%s: got %v", want, err)
		}
	}
}

func TestMemoryOfHost(t *testing.T) {
	c := Config{Name: "huge", Memory: 1 << 50, Programs: missing{}}
	_, err := Start(t.Context(), c)
	var e *MemoryError
	if !errors.As(err, &e) || e.Available <= 0 || !strings.Contains(err.Error(), "1048576 GiB") {
		t.Errorf("got %v", err)
	}
}

// TestDescriptorsAreTakenOver: a failed start closes the cables.
func TestDescriptorsAreTakenOver(t *testing.T) {
	for name, c := range map[string]Config{"check": {CPUs: 999}, "programs": {}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		c.Name, c.Programs, c.NICs = "m", missing{}, []NIC{{Tap: w}}
		if _, err := Start(t.Context(), c); err == nil {
			t.Fatal("it started")
		}
		if _, err := w.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: the descriptor is still open: %v", name, err)
		}
	}
}

func TestNoKVMSentences(t *testing.T) {
	if why := noKVM(t.Context(), missing{}, "s390x"); !strings.Contains(why, "no s390x") {
		t.Errorf("got %q", why)
	}
}

func TestTrialSector(t *testing.T) {
	disk := trialDisk()
	if len(disk) != 1<<20 || disk[510] != 0x55 || disk[511] != 0xaa || len(trialSector)/2 > 440 {
		t.Errorf("the disk is none: %d bytes of code", len(trialSector)/2)
	}
}

func TestTail(t *testing.T) {
	var tl tail
	for range 2000 {
		tl.Write([]byte("qemu: warning: x\nline\n"))
	}
	tl.Write([]byte("last\n"))
	lines := tl.lines()
	if len(tl.buf) > tailSize || len(lines) != 6 || lines[5] != "last" {
		t.Errorf("%d bytes, %q", len(tl.buf), lines)
	}
}
