package netboot

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	"slipway/internal/netboot/dhcp"
	"slipway/internal/netboot/ipxe"
	"slipway/internal/netboot/token"
)

// policy says to DHCP who a client is and what it boots.
type policy struct {
	s *Server

	mu     sync.Mutex
	tokens map[string]exchange // by client
}

// exchange is the DHCP exchange that a client's last token was made for.
type exchange struct {
	xid     uint32
	token   string
	machine string
	at      time.Time
}

// exchangeLife is how long the packets of one exchange may take.
const exchangeLife = 2 * time.Minute

// maxExchanges bounds the memory that packets with made-up senders can take.
const maxExchanges = 1 << 16

var _ dhcp.Policy = (*policy)(nil)

// Reserved tells whether an address belongs to a machine.
func (p *policy) Reserved(a netip.Addr) bool { return p.s.roster().Reserved(a) }

// Decide says what a client gets.
func (p *policy) Decide(r *dhcp.Request) dhcp.Decision {
	var d dhcp.Decision
	m := p.s.roster().Find(FactsOf(r))
	if m != nil {
		d.Machine, d.Address = m.Name, m.Address
		if !m.Match.Any {
			d.Hostname = m.Hostname
		}
	}
	if r.Kind != dhcp.KindSystem {
		d.Boot = p.boot(r, d)
	}
	return d
}

// boot names the addresses of this exchange.
func (p *policy) boot(r *dhcp.Request, d dhcp.Decision) *dhcp.Boot {
	t := p.token(r, d)
	base := p.s.base(r.Server) + "/b/" + t + "/"
	b := &dhcp.Boot{Script: base + helloName}
	if binary, ok := ipxe.For(r.Arch.CPU, r.Arch.Boot); ok && p.s.Loaders[binary] != "" {
		b.Loader, b.LoaderURL = "b/"+t+"/"+binary, base+binary
	}
	return b
}

// token is the one of this exchange, whichever of its packets comes first.
func (p *policy) token(r *dhcp.Request, d dhcp.Decision) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.s.now()
	if e, ok := p.tokens[r.Client]; ok && e.xid == r.XID && e.machine == d.Machine && now.Sub(e.at) < exchangeLife {
		return e.token
	}
	c := token.Claim{Client: r.Client, Xid: r.XID, Address: d.Address, Machine: d.Machine, UUID: r.UUID, Certificate: p.s.Certified}
	c.Fields = map[string]string{"cpu": r.Arch.CPU, "firmware": r.Arch.Boot}
	if r.Relay != nil {
		c.Fields["circuit"], c.Fields["remote"] = string(r.Relay.Circuit), string(r.Relay.Remote)
	}
	t := p.s.tokens.Mint(c)
	if p.tokens == nil || len(p.tokens) >= maxExchanges {
		p.tokens = map[string]exchange{}
	}
	p.tokens[r.Client] = exchange{r.XID, t, d.Machine, now}
	return t
}

// host is our address alone.
func (s *Server) host(own netip.Addr) string {
	if s.Advertise.IsValid() {
		return s.Advertise.String()
	}
	return own.String()
}

// base is the address of our HTTP server as a client sees it.
func (s *Server) base(own netip.Addr) string {
	host := s.host(own)
	if s.httpPort != 80 {
		host += ":" + strconv.Itoa(s.httpPort)
	}
	return "http://" + host
}
