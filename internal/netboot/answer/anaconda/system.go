package anaconda

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

func (m *importer) network(s *statement) {
	o, _ := s.options("bootproto", "device", "ip", "netmask", "gateway", "ipv6", "ipv6gateway", "nameserver", "hostname", "bondopts", "bondslaves",
		"mtu", "vlanid", "interfacename", "teamslaves", "teamconfig", "bridgeslaves", "bridgeopts", "essid", "wepkey", "wpakey", "dhcpclass", "ipv4-dns-search", "ipv6-dns-search")
	if h := o["hostname"]; h != "" {
		m.hostname = h
	}
	if len(o) == 0 || len(o) == 1 && o["hostname"] != "" {
		return
	}
	for _, no := range []string{"vlanid", "teamslaves", "bridgeslaves", "essid", "mtu", "wpakey", "wepkey"} {
		if _, given := o[no]; given {
			m.warn(s, "--"+no+" has no key: write it with files, below /etc/NetworkManager/system-connections")
			return
		}
	}
	line, ok := m.card(s, o)
	if ok {
		m.add("network", "{"+line+"}")
	}
}

// card writes one item of network.
func (m *importer) card(s *statement, o map[string]string) (string, bool) {
	match := o["device"]
	if _, err := net.ParseMAC(match); err == nil || match == "" || match == "link" || match == "bootif" || match == "ksdevice" {
		if match != "" && err == nil {
			m.warn(s, "interfaces are matched by name: replace the pattern by the name of that card")
		}
		match = "en* eth*"
	}
	line := "match: " + quote(match)
	var addresses []string
	_, no4 := o["noipv4"]
	dhcp := !no4 && (o["bootproto"] == "" || o["bootproto"] == "dhcp") && o["ip"] == ""
	if ip := o["ip"]; ip != "" {
		bits, err := maskBits(o["netmask"])
		if err != nil {
			m.warn(s, err.Error())
			return "", false
		}
		addresses = append(addresses, ip+"/"+strconv.Itoa(bits))
	}
	if six := o["ipv6"]; six != "" && six != "auto" && six != "ignore" {
		if six == "dhcp" {
			dhcp = true
		} else {
			if !strings.Contains(six, "/") {
				six += "/64"
			}
			addresses = append(addresses, six)
		}
	}
	if dhcp {
		line += ", dhcp: true"
	}
	if len(addresses) > 0 {
		line += ", address: " + flow(addresses)
	}
	if g := o["gateway"]; g != "" && g != "none" {
		line += ", gateway: " + quote(g)
	}
	if g := o["ipv6gateway"]; g != "" {
		line += ", gateway6: " + quote(g)
	}
	if dns := list(o["nameserver"]); len(dns) > 0 {
		line += ", dns: " + flow(dns)
	}
	if members := list(o["bondslaves"]); len(members) > 0 {
		line += ", bond: {" + bond(members, o["bondopts"]) + "}"
	}
	if !dhcp && len(addresses) == 0 {
		m.warn(s, "it has no address")
		return "", false
	}
	return line, true
}

func bond(members []string, text string) string {
	out := "members: " + flow(members)
	var options []string
	for _, o := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(strings.TrimSpace(o), "=")
		if name == "mode" {
			out += ", mode: " + quote(bondMode(value))
		} else {
			options = append(options, quote(name)+": "+quoteText(value))
		}
	}
	if len(options) > 0 {
		out += ", options: {" + strings.Join(options, ", ") + "}"
	}
	return out
}

// bondMode is a mode's name; the kernel takes numbers as well.
func bondMode(s string) string {
	names := []string{"balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb"}
	if n, err := strconv.Atoi(s); err == nil && n >= 0 && n < len(names) {
		return names[n]
	}
	return s
}

func maskBits(text string) (int, error) {
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return 0, fmt.Errorf("%q is no netmask", text)
	}
	b := a.As4()
	ones, bits := net.IPMask(b[:]).Size()
	if bits == 0 {
		return 0, fmt.Errorf("%q is no netmask", text)
	}
	return ones, nil
}

func (m *importer) userOf(name string) *user {
	if m.users[name] == nil {
		m.users[name] = &user{name: name}
		m.order = append(m.order, name)
	}
	return m.users[name]
}

func (m *importer) rootpw(s *statement) {
	o, rest := s.options()
	_, locked := o["lock"]
	_, hashed := o["iscrypted"]
	if locked || len(rest) == 0 {
		return
	}
	m.password(s, "root", rest[0], hashed)
}

// password keeps a hash apart; a plain one is not taken over.
func (m *importer) password(s *statement, name, value string, hashed bool) {
	if !hashed || strings.ContainsAny(value, " :\t\n'\"") {
		m.warn(s, "a plain password is not taken over: write its hash (openssl passwd -6) into a file, and password: {hash_file: FILE}")
		return
	}
	m.userOf(name).hash = true
	m.out.Hashes[name] = value
}

func (m *importer) user(s *statement) {
	o, _ := s.options("name", "groups", "password", "gecos", "uid", "gid", "homedir", "shell")
	if o["name"] == "" {
		m.warn(s, "it has no name")
		return
	}
	u := m.userOf(o["name"])
	u.comment, u.home, u.shell, u.uid = o["gecos"], o["homedir"], o["shell"], o["uid"]
	for _, g := range list(o["groups"]) {
		name, gid, numbered := strings.Cut(g, "(")
		if numbered {
			m.warn(s, "the number of group "+name+" ("+strings.TrimSuffix(gid, ")")+" is not kept")
		}
		u.groups = append(u.groups, name)
	}
	if _, given := o["gid"]; given {
		m.warn(s, "the number of the user's own group is not kept")
	}
	_, hashed := o["iscrypted"]
	if p := o["password"]; p != "" {
		m.password(s, u.name, p, hashed)
	}
}

func (m *importer) sshkey(s *statement) {
	o, rest := s.options("username")
	if o["username"] == "" || len(rest) == 0 {
		m.warn(s, "it has no user or no key")
		return
	}
	u := m.userOf(o["username"])
	u.keys = append(u.keys, strings.Join(rest, " "))
}

func (m *importer) groupStatement(s *statement) { m.warn(s, "groups are made in run, with groupadd") }

func (m *importer) packagesSection(s *statement) {
	o, _ := s.options()
	if _, none := o["exclude-weakdeps"]; !none {
		m.weak = true
	}
	for i, line := range s.body {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "#")
		name = strings.TrimSpace(name)
		at := &statement{line: s.line + 1 + i, words: []string{name}}
		switch {
		case name == "":
		case strings.HasPrefix(name, "@^"):
			m.base = strings.TrimPrefix(name, "@^")
		case strings.HasPrefix(name, "@"):
			m.warn(at, "groups of packages have no key: list the packages")
		case strings.HasPrefix(name, "-"):
			m.warn(at, "packages cannot be kept out")
		case strings.ContainsAny(name, "*? "):
			m.warn(at, "packages are named one by one")
		default:
			m.packages = append(m.packages, name)
		}
	}
}
