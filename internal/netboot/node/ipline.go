package node

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// static is an address that nobody has to be asked for.
type static struct {
	address netip.Prefix
	gateway netip.Addr
	dns     []netip.Addr
	device  string // name or hardware address of the card; empty: the one with a line
	name    string
}

// parseIP reads a word ip= as the kernel takes it
// (Documentation/admin-guide/nfs/nfsroot.rst):
//
//	client:server:gateway:netmask:hostname:device:autoconf:dns0:dns1
//
// nil means DHCP. The address may carry its prefix (192.0.2.5/24); the device
// may be a hardware address, with dashes.
func parseIP(word string) (*static, error) {
	fields := strings.Split(word, ":")
	field := func(i int) string {
		if i < len(fields) {
			return fields[i]
		}
		return ""
	}
	switch {
	case word == "", word == "dhcp", word == "on", word == "any":
		return nil, nil
	case field(0) == "" && (field(6) == "dhcp" || field(6) == "on" || field(6) == "any" || field(6) == ""):
		return nil, nil
	}
	s := &static{name: field(4), device: strings.ToLower(strings.ReplaceAll(field(5), "-", ":"))}
	var err error
	if s.address, err = parsePrefix(field(0), field(3)); err != nil {
		return nil, fmt.Errorf("ip=%s: %w", word, err)
	}
	if text := field(2); text != "" {
		if s.gateway, err = netip.ParseAddr(text); err != nil {
			return nil, fmt.Errorf("ip=%s: the gateway: %w", word, err)
		}
		if !s.address.Contains(s.gateway) {
			return nil, fmt.Errorf("ip=%s: the gateway %s is not in the network %s", word, s.gateway, s.address.Masked())
		}
	}
	for _, i := range []int{7, 8} {
		if text := field(i); text != "" {
			a, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("ip=%s: the name server: %w", word, err)
			}
			s.dns = append(s.dns, a)
		}
	}
	return s, nil
}

// parsePrefix reads an address and its netmask.
func parsePrefix(address, mask string) (netip.Prefix, error) {
	if strings.Contains(address, "/") {
		return netip.ParsePrefix(address)
	}
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}, err
	}
	if !a.Is4() {
		return netip.Prefix{}, fmt.Errorf("%s is no IPv4 address", a)
	}
	if bits, err := strconv.Atoi(mask); err == nil && bits >= 0 && bits <= 32 {
		return netip.PrefixFrom(a, bits), nil
	}
	m, err := netip.ParseAddr(mask)
	if err != nil || !m.Is4() {
		return netip.Prefix{}, fmt.Errorf("%q is no netmask (255.255.255.0)", mask)
	}
	b := m.As4()
	n := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	bits := 0
	for ; bits < 32 && n&(1<<(31-bits)) != 0; bits++ {
	}
	if n<<bits != 0 && bits < 32 {
		return netip.Prefix{}, fmt.Errorf("%s is no netmask: its ones are not all in front", mask)
	}
	return netip.PrefixFrom(a, bits), nil
}

// bootMAC reads BOOTIF=, which loaders write: 01-52-54-00-12-34-56, or the
// address itself.
func bootMAC(word string) string {
	mac := strings.ToLower(strings.ReplaceAll(word, "-", ":"))
	if strings.Count(mac, ":") == 6 {
		_, mac, _ = strings.Cut(mac, ":") // the type of the hardware
	}
	return mac
}

// CheckIP tells with an error if a word for the network card is none.
func CheckIP(word string) error {
	_, err := parseIP(word)
	return err
}
