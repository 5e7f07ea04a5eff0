package dhcp

import (
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"slipway/internal/fleet"
)

// chosen is what of a Boot one client gets.
type chosen struct {
	server netip.Addr
	name   string // option 66
	file   string // name or URL; empty: nothing
	recipe Recipe
	loader bool   // file is a loader
	why    string // a problem that people should hear of
	cause  string // and its name, where it has one
}

// choose picks loader or script; the mutex of the clients is held. An iPXE that was given a loader once is given
// the script from then on, whatever it lacks, so that no chain of loaders can
// turn in a circle.
func (s *Server) choose(r *Request, d *Decision, c *client) chosen {
	b := d.Boot
	if b == nil {
		return chosen{}
	}
	out := chosen{server: firstAddress(b.Server, r.Server), name: b.Name}
	switch r.Kind {
	case KindHTTP:
		out.file, out.loader = b.LoaderURL, true
		if out.file == "" {
			out.why, out.cause = "this firmware boots by HTTP only, and there is no loader for "+r.Arch.Name, fleet.CauseArch
		}
	case KindIPXE:
		out.file = b.Script
		lacks := ""
		if b.Script != "" {
			lacks = r.IPXE.cannot(b)
		}
		switch {
		case lacks == "":
			c.chained = 0 // whatever was given before has done its work
		case c.chainedBefore(s.now()):
			out.why = "the iPXE that asks was replaced a moment ago and yet " + lacks + ": it gets the script all the same"
		case b.Loader == "" && b.LoaderURL == "":
			out.why = "this iPXE cannot run the script (" + lacks + "), and there is no loader to replace it"
		default:
			out.loader = true
			c.chained = max(s.now(), 1)
			out.file = b.LoaderURL
			if !r.IPXE.Has("http") || out.file == "" {
				out.file = "tftp://" + out.server.String() + "/" + strings.TrimPrefix(b.Loader, "/")
			}
		}
	default:
		out.file, out.loader = b.Loader, true
		if r.Arch.HTTP && b.LoaderURL != "" && r.Kind == KindUBoot {
			out.file = b.LoaderURL
		}
		if out.file == "" && r.Arch.Known {
			out.why, out.cause = "there is no loader for "+r.Arch.Name+": it gets an address, and nothing to boot", fleet.CauseArch
		}
	}
	return out
}

// chainWindow is how long an iPXE counts as one that came out of a loader
// which it was given.
const chainWindow = 10 * time.Minute

// fillBoot writes a boot answer in the form of a recipe. The header's fields
// are filled beside the options: some clients read only one of the two.
func fillBoot(a *dhcpv4.DHCPv4, r *Request, c chosen, alone bool) {
	if v := r.Packet.Options[optUUID]; len(v) > 0 && r.Kind != KindSystem {
		a.Options[optUUID] = v
	}
	if r.Kind == KindIPXE && alone {
		a.Options[optIPXE] = []byte{ipxeNoPXEDHCP, 1, 1}
	}
	// Without a file there is no class either: firmware then gives up at once
	// and takes its next boot entry, and does not look for a boot server.
	if c.recipe != RecipeHeader && c.file != "" {
		if class := classFor(r); class != "" {
			a.Options[optClass] = []byte(class)
		}
	}
	if c.file == "" || c.recipe == RecipeServer {
		if c.file != "" {
			a.ServerIPAddr = c.server.AsSlice()
		}
		return
	}
	a.ServerIPAddr = c.server.AsSlice()
	if len(c.file) < 128 {
		a.BootFileName = c.file
	}
	if c.recipe == RecipeHeader {
		return
	}
	name := c.name
	if name == "" {
		name = c.server.String()
	}
	if r.Kind != KindHTTP {
		a.Options[optServerName] = []byte(name)
		if len(name) < 64 {
			a.ServerHostName = name
		}
	}
	a.Options[optBootFile] = bootFile(r, c.file)
	if b := discovery(r); b != nil && r.Kind == KindPXE {
		a.Options[opt43] = b
	}
}

// bootFile is option 67. PXE firmware writes a NUL behind what it copies
// (EDK2); it is given that byte.
func bootFile(r *Request, file string) []byte {
	if r.Kind == KindPXE {
		return append([]byte(file), 0)
	}
	return []byte(file)
}

// classFor is option 60 of an answer: without it PXE and HTTP firmware does
// not look at the rest.
func classFor(r *Request) string {
	switch {
	case strings.HasPrefix(r.VendorClass, "HTTPClient"):
		return "HTTPClient"
	case strings.HasPrefix(r.VendorClass, "PXEClient"), r.Kind == KindPXE:
		return "PXEClient"
	}
	return ""
}

// discovery is option 43 of PXE firmware (PXE 2.1, table 2-1): discovery
// control with bit 3, "load the file named here and look no further"; on port
// 4011 the boot item that was asked for, if any. A Raspberry Pi wants the menu
// by which it knows its server.
func discovery(r *Request) []byte {
	if r.Port == bootPort {
		if item := subOption(r.Packet.Options[opt43], 71); len(item) == 4 {
			return append(append([]byte{71, 4}, item...), 255)
		}
		return nil
	}
	b := []byte{6, 1, 8}
	if r.Arch.Boot == "rpi" {
		const menu = "Raspberry Pi Boot"
		b = append(b, 9, 3+byte(len(menu)), 0, 0, byte(len(menu)))
		b = append(b, menu...)
		b = append(b, 10, 4, 0, 'P', 'X', 'E')
	}
	return append(b, 255)
}

func subOption(b []byte, code byte) []byte {
	for len(b) >= 2 && b[0] != 255 {
		if b[0] == 0 {
			b = b[1:]
			continue
		}
		if len(b) < 2+int(b[1]) {
			return nil
		}
		if b[0] == code {
			return b[2 : 2+int(b[1])]
		}
		b = b[2+int(b[1]):]
	}
	return nil
}
