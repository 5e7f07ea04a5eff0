package dhcp

import (
	"fmt"
	"strconv"
	"strings"
)

// IPXE is what an iPXE says of itself in option 175, which encapsulates
// options of its own (iPXE's include/ipxe/dhcp.h and features.h).
type IPXE struct {
	Version  string // "1.21.1"; empty: not said
	Features []string
	bits     uint64
}

// Sub-options of option 175.
const (
	optIPXE          = 175
	ipxeNoPXEDHCP    = 176 // do not wait for a proxy
	ipxeVersion      = 235
	ipxeFirstFeature = 0x10
	ipxeLastFeature  = 0x4f
)

// ipxeFeatures names the sub-options by which an iPXE says what it can do.
var ipxeFeatures = map[byte]string{
	0x10: "pxe-ext", 0x11: "iscsi", 0x12: "aoe", 0x13: "http", 0x14: "https", 0x15: "tftp", 0x16: "ftp", 0x17: "dns",
	0x18: "bzimage", 0x19: "multiboot", 0x1a: "slam", 0x1b: "srp", 0x20: "nbi", 0x21: "pxe", 0x22: "elf", 0x23: "comboot",
	0x24: "efi", 0x25: "fcoe", 0x26: "vlan", 0x27: "menu", 0x28: "sdi", 0x29: "nfs",
}

// Has says whether the iPXE has a feature, by its name.
func (i *IPXE) Has(feature string) bool {
	for _, f := range i.Features {
		if f == feature {
			return true
		}
	}
	return false
}

// parseIPXE reads the value of option 175; nil where it is not well formed,
// for then it is another vendor's.
func parseIPXE(data []byte) *IPXE {
	i := &IPXE{}
	for len(data) > 0 {
		code := data[0]
		if code == 0 {
			data = data[1:]
			continue
		}
		if code == 255 {
			break
		}
		if len(data) < 2 || len(data) < 2+int(data[1]) {
			return nil
		}
		value := data[2 : 2+int(data[1])]
		data = data[2+int(data[1]):]
		switch {
		case code == ipxeVersion:
			i.Version = dotted(value)
		case code >= ipxeFirstFeature && code <= ipxeLastFeature && len(value) > 0 && value[0] != 0:
			name := ipxeFeatures[code]
			if name == "" {
				name = fmt.Sprintf("0x%02x", code)
			}
			if bit := uint64(1) << (code - ipxeFirstFeature); i.bits&bit == 0 {
				i.bits |= bit
				i.Features = append(i.Features, name)
			}
		}
	}
	return i
}

func dotted(value []byte) string {
	parts := make([]string, 0, 4)
	for _, b := range value[:min(len(value), 4)] {
		parts = append(parts, strconv.Itoa(int(b)))
	}
	return strings.Join(parts, ".")
}

// older compares versions number by number; what is not a number is 0.
func older(a, b string) bool {
	for a != "" || b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		m, _ := strconv.Atoi(x)
		n, _ := strconv.Atoi(y)
		if m != n {
			return m < n
		}
	}
	return false
}

// cannot says why an iPXE has to be replaced before it can run a script; empty
// when it can. A loader that cannot start a kernel is of no use, and one
// without HTTP cannot fetch one.
func (i *IPXE) cannot(b *Boot) string {
	switch {
	case strings.HasPrefix(b.Script, "http://") && !i.Has("http"):
		return "it has no HTTP"
	case strings.HasPrefix(b.Script, "https://") && !i.Has("https"):
		return "it has no HTTPS"
	case !i.Has("bzimage") && !i.Has("efi"):
		return "it can start no Linux kernel"
	case b.MinVersion != "" && i.Version != "" && older(i.Version, b.MinVersion):
		return "it is older than " + b.MinVersion
	}
	return ""
}
