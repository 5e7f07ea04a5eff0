package dhcp

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
)

// note is an event in the making: small to carry about, written out when it is
// recorded.
type note struct {
	r       *Request
	kind    string
	machine string
	words   string
	wrong   string
	cause   string // of what is wrong, where it is known
	address netip.Addr
	chosen  chosen
	left    []uint8
	stage   string // evidence of, where the packet alone does not tell
}

func (s *Server) event(r *Request, kind string) note {
	n := note{r: r, kind: kind}
	if kind == "dhcp.discover" && r.Kind == KindIPXE {
		n.stage = s.state.clients.stage(r.Client, s.now())
	}
	return n
}

func (n note) problem(text string) note  { n.wrong = text; return n }
func (n note) because(cause string) note { n.cause = cause; return n }
func (n note) text(text string) note     { n.words = text; return n }
func (n note) of(d *Decision) note       { n.machine = d.Machine; return n }
func (n note) boot(c chosen) note {
	n.chosen = c
	if c.why != "" {
		n.wrong, n.cause = c.why, c.cause
	}
	return n
}

// note records an event about a packet.
func (s *Server) note(w *work, n note) {
	if s.Events != nil {
		s.Events.Record(n.event(w.wall))
	}
}

// event writes it out.
func (n *note) event(wall time.Time) fleet.Event {
	r := n.r
	e := fleet.Event{Time: wall, Client: r.Client, Machine: n.machine, Kind: n.kind, Text: n.words, Problem: n.wrong, Stage: n.evidence()}
	if a := firstAddress(n.address, r.Address); a.IsValid() {
		e.Address = a.String()
	}
	f := make(map[string]string, 12)
	f["xid"] = hex.EncodeToString(r.Packet.TransactionID[:])
	set := func(key, value string) {
		if value != "" {
			f[key] = value
		}
	}
	set("link", r.Link)
	set("client", string(r.Kind))
	set("vendor_class", r.VendorClass)
	set("user_class", r.UserClass)
	set("uuid", r.UUID)
	set("hostname", r.Hostname)
	if len(r.ArchCodes) > 0 || r.Arch.Known {
		f["arch"] = r.Arch.Name
		f["arch_code"] = strconv.Itoa(int(r.Arch.Code))
		if !r.Arch.Known && e.Problem == "" && received[n.kind] {
			e.Problem = fmt.Sprintf("its architecture %d is in no table: it gets an address, and what is declared for it if anything; its firmware may be newer than slipway", r.Arch.Code)
			n.cause = fleet.CauseArch
		}
	}
	if r.IPXE != nil {
		set("ipxe_version", r.IPXE.Version)
		set("ipxe_features", strings.Join(r.IPXE.Features, ","))
	}
	if r.Relay != nil {
		if r.Relay.Gateway.IsValid() {
			f["relay"] = r.Relay.Gateway.String()
		}
		set("circuit", idText(r.Relay.Circuit))
		set("remote", idText(r.Relay.Remote))
	}
	if n.chosen.file != "" {
		if strings.Contains(n.chosen.file, "://") {
			f["url"] = n.chosen.file
		} else {
			f["file"] = n.chosen.file
		}
	}
	set(fleet.FieldCause, n.cause)
	set("recipe", string(n.chosen.recipe))
	if r.Port == bootPort {
		f["port"] = "4011"
	}
	if len(n.left) > 0 && e.Problem == "" {
		e.Problem = fmt.Sprintf("the options %v had no room in the largest message it takes", n.left)
	}
	if len(f) > 0 {
		e.Fields = f
	}
	return e
}

// received lists the kinds that are a client's packet, not an answer.
var received = map[string]bool{"dhcp.discover": true, "dhcp.request": true, "dhcp.inform": true, fleet.KindBootReq: true}

// stage is what a packet is evidence of. An answer is evidence of nothing but
// that the client's request was heard.
func (n *note) evidence() string {
	if n.stage != "" {
		return n.stage
	}
	switch n.kind {
	case "dhcp.discover":
		switch n.r.Kind {
		case KindPXE, KindHTTP, KindUBoot:
			return fleet.StageFirmware
		case KindSystem:
			return fleet.StageNetwork
		}
	case "dhcp.pxe":
		if n.r.Kind != KindIPXE {
			return fleet.StageDHCP
		}
	case "dhcp.ack":
		if n.r.Kind != KindSystem && n.r.Kind != KindIPXE && n.r.Type == dhcpv4.MessageTypeRequest && n.r.Port == serverPort {
			return fleet.StageDHCP
		}
	}
	return ""
}

// idText shows an identifier of a relay agent: as text when it is text, else
// in hexadecimal.
func idText(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	for _, c := range b {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("%x", b)
		}
	}
	return string(b)
}

// IDText is how events and the policy's owner write a circuit or remote
// identifier: text where it is text, else hexadecimal.
func IDText(b []byte) string { return idText(b) }
