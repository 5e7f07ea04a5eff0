package apply

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"

	"slipway/internal/machine"
)

const (
	nmConnections = "/etc/NetworkManager/system-connections/"
	nmSettings    = "/etc/NetworkManager/conf.d/50-slipway.conf"
)

// secretFile is the mode that NetworkManager wants of its profiles, which may
// hold passwords.
var secretFile = attr{mode: 0o600}

// networkManager writes profiles in the keyfile format
// (nm-settings-keyfile(5)), one per item and one per member of a bond. Of two
// that match an interface the one with the higher priority is taken: the first.
func (j *job) networkManager() error {
	if !j.hasProgram("NetworkManager") {
		return fmt.Errorf("the machine has no NetworkManager; add the package network-manager")
	}
	for i, n := range j.def.Network {
		id := fmt.Sprintf("slipway-%d", i)
		if err := j.profile(id, nmProfile(id, len(j.def.Network)-i, n)); err != nil {
			return err
		}
		if n.Bond == nil {
			continue
		}
		for k, member := range n.Bond.Members {
			id := fmt.Sprintf("slipway-%d-member-%d", i, k)
			if err := j.profile(id, nmMember(id, member, n.Match)); err != nil {
				return err
			}
		}
	}
	return j.writeText(nmSettings, nmConf(j.def.ChosenResolver()), plainFile)
}

func (j *job) profile(id, text string) error {
	return j.writeText(nmConnections+id+".nmconnection", text, secretFile)
}

// nmConf leaves interfaces that no item names alone, as the other backends do.
func nmConf(resolver string) string {
	text := "[main]\nno-auto-default=*\n"
	switch resolver {
	case "resolved":
		text += "dns=systemd-resolved\n"
	case "resolvconf":
		text += "dns=default\nrc-manager=resolvconf\n"
	case "static":
		text += "dns=none\n"
	}
	return text
}

func nmProfile(id string, priority int, n machine.Network) string {
	var b strings.Builder
	kind := "ethernet"
	if n.Bond != nil {
		kind = "bond"
	}
	fmt.Fprintf(&b, "[connection]\nid=%s\nuuid=%s\ntype=%s\nautoconnect-priority=%d\n", id, nmUUID(id), kind, priority)
	words := strings.Fields(n.Match)
	if len(words) == 1 && !isPattern(words[0]) {
		fmt.Fprintf(&b, "interface-name=%s\n\n", words[0])
	} else {
		// 3: on any number of interfaces at once.
		fmt.Fprintf(&b, "multi-connect=3\n\n[match]\ninterface-name=%s;\n\n", strings.Join(words, ";"))
	}
	fmt.Fprintf(&b, "[%s]\n", kind)
	if n.Bond != nil {
		fmt.Fprintf(&b, "mode=%s\n", bondMode(n.Bond))
		for _, o := range slices.Sorted(maps.Keys(n.Bond.Options)) {
			fmt.Fprintf(&b, "%s=%s\n", o, n.Bond.Options[o])
		}
	}
	addresses4, addresses6 := byFamily(n.Address)
	dns4, dns6 := byFamily(n.DNS)
	gateway4, gateway6 := gateways(n)
	nmFamily(&b, "ipv4", "disabled", n.DHCP, addresses4, gateway4, dns4)
	nmFamily(&b, "ipv6", "auto", n.DHCP, addresses6, gateway6, dns6) // routers may announce addresses
	return b.String()
}

// nmFamily is the section of one family; without is its method where nothing is
// said of it.
func nmFamily(b *strings.Builder, name, without string, dhcp bool, addresses []string, gateway string, dns []string) {
	method := without
	if dhcp {
		method = "auto"
	} else if len(addresses) > 0 {
		method = "manual"
	}
	fmt.Fprintf(b, "\n[%s]\nmethod=%s\n", name, method)
	for i, a := range addresses {
		fmt.Fprintf(b, "address%d=%s\n", i+1, a)
	}
	if gateway != "" {
		fmt.Fprintf(b, "gateway=%s\n", gateway)
	}
	if len(dns) > 0 && method != "disabled" {
		fmt.Fprintf(b, "dns=%s;\n", strings.Join(dns, ";"))
	}
}

func nmMember(id, name, bond string) string {
	return fmt.Sprintf("[connection]\nid=%s\nuuid=%s\ntype=ethernet\ninterface-name=%s\nmaster=%s\nslave-type=bond\n\n[ethernet]\n", id, nmUUID(id), name, bond)
}

// nmUUID names a profile: it is the same in every build (RFC 9562, version 8).
func nmUUID(id string) string {
	sum := sha256.Sum256([]byte("slipway network profile " + id))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
