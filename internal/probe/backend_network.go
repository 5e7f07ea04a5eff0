package probe

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// networkCheck wants the chosen backend, and no other, to have given an
// interface an address.
type networkCheck struct{ backend string }

func (c networkCheck) want() string {
	return fmt.Sprintf("an interface with an address by %s alone", c.backend)
}

// networkServices are the services of the backends. Both ifups have that of
// OpenRC, and what says which of them works is the program.
var networkServices = map[string][]string{
	"networkd":       {"systemd-networkd.service"},
	"networkmanager": {"NetworkManager.service", "openrc:networkmanager"},
	"ifupdown":       {"networking.service", "openrc:networking"},
}

// networkScript prints what the managers say of their interfaces, and what the
// kernel does. The states of ifup are a line per interface, NAME=NAME.
const networkScript = runningScript + `
running "$@"
[ "$(readlink -f "$(command -v ifup)" 2>/dev/null)" = /bin/busybox ] && echo "busybox ifup"
for state in /run/network/ifstate /run/ifstate; do [ -f $state ] && sed 's/^/ifup /' $state; done
command -v networkctl >/dev/null 2>&1 && networkctl list --no-legend --no-pager 2>/dev/null | while read -r index name kind operational setup; do echo "networkd $name $setup"; done
command -v nmcli >/dev/null 2>&1 && nmcli -t -f STATE,DEVICE device 2>/dev/null | sed 's/^\([^:]*\):/networkmanager \1:/'
cut -f1,2,8 /proc/net/route | sed 's/^/route /'
sed 's/^/local /' /proc/net/fib_trie
sed 's/^/inet6 /' /proc/net/if_inet6 2>/dev/null
exit 0`

func (c networkCheck) try(ctx context.Context, s *session) outcome {
	f, err := s.facts(ctx, networkScript, words(networkServices)...)
	if err != nil {
		return breaks("the machine could not be asked: %s", plain(err))
	}
	service := c.backend
	if service == "busybox" {
		service = "ifupdown"
	}
	if o, ok := oneOf(f, service, networkServices); !ok {
		return o
	}
	if busybox := len(f["busybox"]) > 0; busybox != (c.backend == "busybox") && service == "ifupdown" {
		return misses("an ifup that is %s", map[bool]string{true: "busybox's", false: "not busybox's"}[busybox])
	}
	managed := managedBy(c.backend, f)
	if len(managed) == 0 {
		return misses("%s, which has no interface", c.backend)
	}
	for _, name := range managed {
		if a := addressOf(name, f); a.IsValid() {
			return holds("%s has %s by %s", name, a, c.backend)
		}
	}
	return misses("no address at %s", strings.Join(managed, ", "))
}

// managedBy lists the interfaces that a backend says it has set up.
func managedBy(backend string, f facts) []string {
	var names []string
	add := func(name string) {
		if name != "lo" && name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch backend {
	case "networkd":
		for _, line := range f["networkd"] {
			if name, ok := strings.CutSuffix(line, " configured"); ok {
				add(name)
			}
		}
	case "networkmanager":
		for _, line := range f["networkmanager"] {
			if name, ok := strings.CutPrefix(line, "connected:"); ok {
				add(name)
			}
		}
	default:
		for _, line := range f["ifup"] {
			name, _, _ := strings.Cut(line, "=")
			name, _, _ = strings.Cut(name, " ") // ifupdown-ng counts how often behind it
			add(name)
		}
	}
	return names
}

// addressOf is an address of the interface that reaches further than its link,
// from the kernel's own tables: no program need be there.
func addressOf(name string, f facts) netip.Addr {
	for _, a := range localAddresses(f["local"]) {
		for _, line := range f["route"] {
			if net, ok := routeOf(name, line); ok && net.Contains(a) {
				return a
			}
		}
	}
	for _, line := range f["inet6"] {
		// address, index, prefix length, scope (00: global), flags, name
		field := strings.Fields(line)
		if len(field) != 6 || field[5] != name || field[3] != "00" {
			continue
		}
		if raw, err := hex.DecodeString(field[0]); err == nil && len(raw) == 16 {
			return netip.AddrFrom16([16]byte(raw))
		}
	}
	return netip.Addr{}
}

// localAddresses reads the machine's own addresses of /proc/net/fib_trie: those
// that a line "/32 host LOCAL" follows.
func localAddresses(lines []string) []netip.Addr {
	var out []netip.Addr
	var last netip.Addr
	for _, line := range lines {
		field := strings.Fields(line)
		if len(field) == 2 && field[0] == "|--" {
			last, _ = netip.ParseAddr(field[1])
		}
		if strings.HasSuffix(strings.TrimSpace(line), "/32 host LOCAL") && last.IsValid() && !last.IsLoopback() {
			out = append(out, last)
		}
	}
	return out
}

// routeOf reads a line of /proc/net/route, of which name, destination and mask
// are left: a network that the interface is in.
func routeOf(name, line string) (netip.Prefix, bool) {
	field := strings.Fields(line)
	if len(field) != 3 || field[0] != name {
		return netip.Prefix{}, false
	}
	destination, err := strconv.ParseUint(field[1], 16, 32)
	mask, maskErr := strconv.ParseUint(field[2], 16, 32)
	if err != nil || maskErr != nil || mask == 0 {
		return netip.Prefix{}, false
	}
	var a [4]byte
	binary.LittleEndian.PutUint32(a[:], uint32(destination)) // the kernel prints its own order of bytes
	bits := 0
	for m := mask; m != 0; m &= m - 1 {
		bits++
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), bits), true
}
