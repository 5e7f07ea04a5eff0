package lab

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Domain is the lab's own domain; names are also answered without it.
const Domain = "lab"

const (
	answerTTL     = 5 // seconds: machines come and go
	upstreamLimit = 3 * time.Second

	// A machine may ask as fast as it likes: what is beyond these numbers of
	// questions at a time gets no answer, or a failure.
	mostQuestions = 256
	mostUpstream  = 64
)

// zone is the lab's directory at one moment.
type zone struct {
	subnets  Subnets
	machines []Machine
}

// serveDNS answers on the bridge's addresses over UDP and TCP.
func (l *Lab) serveDNS(ctx context.Context) error {
	slots := make(chan struct{}, mostQuestions)
	upstream := make(chan struct{}, mostUpstream)
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		if !take(slots) {
			return
		}
		defer func() { <-slots }()
		w.WriteMsg(l.answer(ctx, w.RemoteAddr(), q, upstream))
	})
	at := net.JoinHostPort(l.Subnets.Gateway4().String(), "53")
	udp := &dns.Server{Addr: at, Net: "udp", Handler: handler}
	tcp := &dns.Server{Addr: at, Net: "tcp", Handler: handler, MaxTCPQueries: 64}
	results := make(chan error, 2)
	for _, s := range []*dns.Server{udp, tcp} {
		go func() { results <- s.ListenAndServe() }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-results:
		results <- nil
	}
	udp.Shutdown()
	tcp.Shutdown()
	<-results
	<-results
	return err
}

// take takes a slot without waiting.
func take(slots chan struct{}) bool {
	select {
	case slots <- struct{}{}:
		return true
	default:
		return false
	}
}

// answer decides between the directory, upstream servers and a plain no.
func (l *Lab) answer(ctx context.Context, from net.Addr, q *dns.Msg, upstream chan struct{}) *dns.Msg {
	reply := new(dns.Msg).SetReply(q)
	if q.Opcode != dns.OpcodeQuery || len(q.Question) != 1 {
		return reply.SetRcode(q, dns.RcodeNotImplemented)
	}
	z := zone{l.Subnets, l.Machines()}
	if z.own(reply, q.Question[0]) {
		return reply
	}
	if z.mayLeave(from) {
		if take(upstream) {
			defer func() { <-upstream }()
			if up := l.upstream(ctx, q); up != nil {
				return up
			}
		}
		return reply.SetRcode(q, dns.RcodeServerFailure)
	}
	return reply.SetRcode(q, dns.RcodeNameError)
}

// own answers from the directory; false when the name is not the lab's.
func (z zone) own(reply *dns.Msg, q dns.Question) bool {
	if ip, ok := reverseName(q.Name); ok {
		if !z.subnets.IPv4.Contains(ip) && !z.subnets.IPv6.Contains(ip) {
			return false
		}
		z.pointer(reply, q, ip)
		return true
	}
	name := strings.TrimSuffix(strings.ToLower(q.Name), ".")
	short, inLab := strings.CutSuffix(name, "."+Domain)
	v4, v6, ok := z.find(short)
	if !ok {
		if inLab || !strings.Contains(name, ".") {
			reply.Rcode = dns.RcodeNameError
			return true
		}
		return false
	}
	reply.Authoritative = true
	header := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Ttl: answerTTL}
	if (q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY) && v4.IsValid() {
		header.Rrtype = dns.TypeA
		reply.Answer = append(reply.Answer, &dns.A{Hdr: header, A: v4.AsSlice()})
	}
	if (q.Qtype == dns.TypeAAAA || q.Qtype == dns.TypeANY) && v6.IsValid() {
		header.Rrtype = dns.TypeAAAA
		reply.Answer = append(reply.Answer, &dns.AAAA{Hdr: header, AAAA: v6.AsSlice()})
	}
	return true
}

// find looks a name without domain up.
func (z zone) find(name string) (v4, v6 netip.Addr, ok bool) {
	if name == "host" || name == "gateway" {
		return z.subnets.Gateway4(), z.subnets.Gateway6(), true
	}
	for _, m := range z.machines {
		for _, n := range append([]string{m.Name}, m.Aliases...) {
			if strings.EqualFold(n, name) {
				return m.IPv4, m.IPv6, true
			}
		}
	}
	return v4, v6, false
}

// pointer answers the name of an address of the lab.
func (z zone) pointer(reply *dns.Msg, q dns.Question, ip netip.Addr) {
	name := ""
	if ip == z.subnets.Gateway4() || ip == z.subnets.Gateway6() {
		name = "host"
	}
	for _, m := range z.machines {
		if ip == m.IPv4 || ip == m.IPv6 {
			name = m.Name
		}
	}
	reply.Authoritative = true
	if name == "" {
		reply.Rcode = dns.RcodeNameError
		return
	}
	if q.Qtype == dns.TypePTR || q.Qtype == dns.TypeANY {
		header := dns.RR_Header{Name: q.Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: answerTTL}
		reply.Answer = append(reply.Answer, &dns.PTR{Hdr: header, Ptr: dns.Fqdn(name + "." + Domain)})
	}
}

// reverseName reads d.c.b.a.in-addr.arpa and its IPv6 relative (RFC 1035
// section 3.5, RFC 3596 section 2.5).
func reverseName(name string) (netip.Addr, bool) {
	name = strings.ToLower(name)
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa."); ok {
		f := strings.Split(rest, ".")
		if len(f) != 4 {
			return netip.Addr{}, false
		}
		ip, err := netip.ParseAddr(f[3] + "." + f[2] + "." + f[1] + "." + f[0])
		return ip, err == nil
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa.")
	f := strings.Split(rest, ".")
	if !ok || len(f) != 32 {
		return netip.Addr{}, false
	}
	var text strings.Builder
	for i := 31; i >= 0; i-- {
		text.WriteString(f[i])
		if i%4 == 0 && i > 0 {
			text.WriteByte(':')
		}
	}
	ip, err := netip.ParseAddr(text.String())
	return ip, err == nil && ip.Is6()
}

// mayLeave says whether the asking machine has a way out.
func (z zone) mayLeave(from net.Addr) bool {
	ap, err := netip.ParseAddrPort(from.String())
	if err != nil {
		return false
	}
	for _, m := range z.machines {
		if ip := ap.Addr().Unmap(); m.Outside && (ip == m.IPv4 || ip == m.IPv6) {
			return true
		}
	}
	return false
}

// resolvConf lists the host's own name servers.
var resolvConf = "/etc/resolv.conf"

// nameServers are those to ask for other names. A user's lab asks pasta, which
// asks the host's.
func (l *Lab) nameServers() []string {
	if !l.root {
		return []string{net.JoinHostPort(resolverAddress, "53")}
	}
	conf, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil {
		return nil
	}
	var list []string
	for _, s := range conf.Servers {
		list = append(list, net.JoinHostPort(s, conf.Port))
	}
	return list
}

// upstream asks the host's name servers; nil when none answers.
func (l *Lab) upstream(ctx context.Context, q *dns.Msg) *dns.Msg {
	for _, server := range l.nameServers() {
		for _, network := range []string{"udp", "tcp"} {
			r, err := l.exchange(ctx, network, server, q)
			if err != nil {
				break
			}
			if !r.Truncated || network == "tcp" {
				return r
			}
		}
	}
	return nil
}

func (l *Lab) exchange(ctx context.Context, network, server string, q *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamLimit)
	defer cancel()
	conn, err := l.dialHost(ctx, network, server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	c := &dns.Client{Net: network, Timeout: upstreamLimit}
	r, _, err := c.ExchangeWithConn(q.Copy(), &dns.Conn{Conn: conn})
	return r, err
}
