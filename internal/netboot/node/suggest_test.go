package node

import (
	"os"
	"path/filepath"
	"testing"

	definition "slipway/internal/machine"
)

func realistic() *Hardware {
	return &Hardware{
		Firmware: "uefi", Memory: 64 << 30, CPUs: 16, UUID: "4c4c4544-0042-3510-8054-b9c04f4e4d32",
		NICs: []NIC{
			{Name: "eth0", MAC: "52:54:00:04:04:03", Driver: "e1000e", Path: "0000:00:19.0", Link: true, Speed: 1000, Model: "8086:15b8"},
			{Name: "eth1", MAC: "52:54:00:04:04:04", Driver: "mlx5_core", Path: "0000:3b:00.0"},
		},
		Disks: []Disk{
			{Name: "nvme0n1", Serial: "S5GXNG0N", Bus: "nvme", Path: "0000:00:1d.0", Size: 500 << 30, ByPath: "pci-0000:00:1d.0-nvme-1"},
			{Name: "sda", Serial: "WD \"weird\n# serial of more than twenty bytes", Bus: "ahci", Size: 4 << 40, Rotational: true, Holds: []string{"partition 1: ext4\nevil: true"}},
			{Name: "sdb", Bus: "usb", Removable: true, Size: 8 << 30},
		},
	}
}

// TestSuggestionsLoad: both definitions are good ones, and say what the
// machine is.
func TestSuggestionsLoad(t *testing.T) {
	h := realistic()
	dir := t.TempDir()
	for name, text := range map[string]string{"node7.yaml": Suggest("node7", "debian/trixie", h), "rehearsal.yaml": Rehearsal("node7.yaml", h)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s\n%s", name, text)
	}
	d, err := definition.Load(filepath.Join(dir, "node7.yaml"), definition.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := d.Netboot; n == nil || n.Mode != "install" || n.Disk != "serial:S5GXNG0N" || len(n.Match.MAC) != 2 {
		t.Errorf("the definition says %+v", d.Netboot)
	}
	d, err = definition.Load(filepath.Join(dir, "rehearsal.yaml"), definition.Options{})
	if err != nil {
		t.Fatal(err)
	}
	v := d.VM
	if len(v.NICs) != 2 || v.NICs[0].MAC != "52:54:00:04:04:03" || v.NICs[0].Model != "e1000e" || v.NICs[0].Slot != "19.0" || v.NICs[1].Slot != "" {
		t.Errorf("the cards are %+v", v.NICs)
	}
	if v.Bus != "nvme" || v.Serial != "S5GXNG0N" || len(v.Disks) != 1 || v.Disks[0].Bus != "ahci" || int64(v.Disks[0].Size) != 4<<40 {
		t.Errorf("the disks are %s %s %+v", v.Bus, v.Serial, v.Disks)
	}
}

// TestScan finds cards and disks by what sysfs shows.
func TestScan(t *testing.T) {
	m := newMachine(t)
	m.disk("vda", "SERIAL1", "04.0", 32<<20)
	pci := "sys/devices/pci0000:00/0000:00:1f.2"
	ata := pci + "/ata3/host2/target2:0:0/2:0:0:0"
	m.write(pci+"/ata3/ata_port/ata3/port_no", "3\n")
	m.write(pci+"/ata3/link3/ata_link/link3/sata_spd", "6.0 Gbps\n")
	m.write(ata+"/model", "WDC WD40EFRX-68W\n")
	m.write(ata+"/wwid", "naa.50014ee2b5c1a2d3\n")
	m.write(ata+"/vpd_pg80", "\x00\x80\x00\x08WD-12345")
	m.write(ata+"/block/sda/size", "8192\n")
	m.must(os.Symlink("../../../bus/pci", filepath.Join(m.dir, pci, "subsystem")))
	full := filepath.Join(m.dir, ata, "block/sda")
	m.must(os.Symlink("../..", filepath.Join(full, "device")))
	m.must(os.Symlink(full, filepath.Join(m.dir, "sys/class/block/sda")))
	m.must(os.Symlink(full, filepath.Join(m.dir, "sys/block/sda")))
	m.write("dev/sda", "")
	m.must(os.Truncate(filepath.Join(m.dir, "dev/sda"), 4<<20))
	net := "sys/devices/pci0000:00/0000:00:03.0"
	m.write(net+"/net/eth0/address", "52:54:00:00:00:01\n")
	m.write(net+"/net/eth0/carrier", "1\n")
	m.write(net+"/net/eth0/speed", "1000\n")
	m.write(net+"/vendor", "0x8086\n")
	m.write(net+"/device", "0x10d3\n")
	m.must(os.Symlink("../../../bus/pci", filepath.Join(m.dir, net, "subsystem")))
	m.must(os.MkdirAll(filepath.Join(m.dir, "sys/class/net"), 0o755))
	m.must(os.Symlink("../..", filepath.Join(m.dir, net, "net/eth0/device")))
	m.must(os.Symlink(filepath.Join(m.dir, net, "net/eth0"), filepath.Join(m.dir, "sys/class/net/eth0")))
	s := m.scanner()
	s.BootMAC = "52:54:00:00:00:01"
	h := s.Hardware()
	if len(h.NICs) != 1 || h.NICs[0].Path != "0000:00:03.0" || h.NICs[0].Model != "8086:10d3" || !h.NICs[0].Link || !h.NICs[0].Boot || h.NICs[0].Speed != 1000 {
		t.Errorf("the cards are %+v", h.NICs)
	}
	if len(h.Disks) != 2 {
		t.Fatalf("the disks are %+v", h.Disks)
	}
	sda, vda := h.Disks[0], h.Disks[1]
	if sda.ByPath != "pci-0000:00:1f.2-ata-3" || sda.Bus != "ahci" || sda.Link != "6.0 Gbps" || sda.Serial != "WD-12345" ||
		len(sda.ByID) != 2 || sda.ByID[0] != "ata-WDC_WD40EFRX-68W_WD-12345" || sda.ByID[1] != "wwn-0x50014ee2b5c1a2d3" {
		t.Errorf("sda is %+v", sda)
	}
	if vda.ByPath != "pci-0000:00:04.0" || vda.Bus != "virtio" || vda.ByID[0] != "virtio-SERIAL1" {
		t.Errorf("vda is %+v", vda)
	}
	for _, word := range []string{"serial:WD-12345", "/dev/disk/by-path/pci-0000:00:1f.2-ata-3", "/dev/disk/by-path/pci-0000:00:1f.2-ata-3.0", "/dev/disk/by-id/wwn-0x50014ee2b5c1a2d3"} {
		if d, err := s.choose(word); err != nil || filepath.Base(d.Path) != "sda" {
			t.Errorf("%s: %v %v", word, d, err)
		}
	}
	for _, word := range []string{"serial:", "serial:WD", "/dev/sda", "/dev/disk/by-path/pci-0000:00:1f.2-ata-33", ""} {
		if d, err := s.choose(word); err == nil {
			t.Errorf("%q chooses %s", word, d)
		}
	}
}

func TestParseIP(t *testing.T) {
	for word, want := range map[string]string{
		"": "dhcp", "dhcp": "dhcp", ":::::eth0:dhcp": "dhcp",
		"192.0.2.5::192.0.2.1:255.255.255.0:web:eth1:none:192.0.2.2": "192.0.2.5/24 192.0.2.1 eth1",
		"192.0.2.5/26": "192.0.2.5/26 invalid IP ",
		"192.0.2.5::192.0.2.1:24::52-54-00-AA-BB-01:off": "192.0.2.5/24 192.0.2.1 52:54:00:aa:bb:01",
		"192.0.2.5::198.51.100.1:255.255.255.0":          "error", "192.0.2.5::192.0.2.1:255.0.255.0": "error", "here": "error", "192.0.2.5": "error",
	} {
		got := "error"
		s, err := parseIP(word)
		switch {
		case err == nil && s == nil:
			got = "dhcp"
		case err == nil:
			got = s.address.String() + " " + s.gateway.String() + " " + s.device
		}
		if got != want {
			t.Errorf("ip=%s: got %s (%v), want %s", word, got, err, want)
		}
	}
}

func FuzzParseIP(f *testing.F) {
	f.Add("192.0.2.5::192.0.2.1:255.255.255.0:web:eth1:none:192.0.2.2")
	f.Fuzz(func(t *testing.T, word string) {
		if s, err := parseIP(word); err == nil && s != nil && !s.address.Addr().IsValid() {
			t.Errorf("ip=%q gives no address", word)
		}
	})
}
