package probe

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"slipway/internal/machine"
)

// dnsCheck asks a name server for a record.
type dnsCheck struct{ p *machine.DNSProbe }

func newDNS(p *machine.Probe) check { return dnsCheck{p.DNS} }

// bound is short, because the question travels by UDP and may be lost.
func (c dnsCheck) bound(time.Duration) time.Duration { return 2 * time.Second }

func (c dnsCheck) kind() string {
	if c.p.Type == "" {
		return "A"
	}
	return strings.ToUpper(c.p.Type)
}

func (c dnsCheck) want() string {
	if c.p.Answer == "" {
		return fmt.Sprintf("a record %s of %s", c.kind(), c.p.Name)
	}
	return fmt.Sprintf("the answer %s for %s %s", c.p.Answer, c.p.Name, c.kind())
}

func (c dnsCheck) try(ctx context.Context, s *session) outcome {
	kind, ok := dns.StringToType[c.kind()]
	if !ok {
		return breaks("%q is no type of record", c.kind())
	}
	question := new(dns.Msg).SetQuestion(dns.Fqdn(c.p.Name), kind)
	question.SetEdns0(1232, false)
	reply, err := c.ask(ctx, s, "udp", question)
	if err == nil && reply.Truncated {
		reply, err = c.ask(ctx, s, "tcp", question)
	}
	if err != nil {
		return misses("%s", plain(err))
	}
	return c.judge(reply, kind)
}

func (c dnsCheck) ask(ctx context.Context, s *session, network string, question *dns.Msg) (*dns.Msg, error) {
	host, port := c.p.Server, 53
	if h, p, err := net.SplitHostPort(c.p.Server); err == nil {
		if port, err = strconv.Atoi(p); err != nil {
			return nil, fmt.Errorf("the server's port %q is no number", p)
		}
		host = h
	}
	conn, err := s.dial(ctx, network, s.hostPort(host, port))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	over := &dns.Conn{Conn: conn, UDPSize: 1232}
	if err := over.WriteMsg(question); err != nil {
		return nil, err
	}
	for {
		reply, err := over.ReadMsg()
		if err != nil || reply.Id == question.Id {
			return reply, err
		}
	}
}

func (c dnsCheck) judge(reply *dns.Msg, kind uint16) outcome {
	if reply.Rcode != dns.RcodeSuccess {
		return misses("%s", dns.RcodeToString[reply.Rcode])
	}
	var answers []string
	for _, rr := range reply.Answer {
		if rr.Header().Rrtype != kind {
			continue // a CNAME on the way
		}
		value := recordValue(rr)
		if c.p.Answer == "" || strings.EqualFold(value, strings.TrimSuffix(c.p.Answer, ".")) {
			return holds("%s", value)
		}
		answers = append(answers, value)
	}
	if len(answers) == 0 {
		return misses("no such record")
	}
	return misses("%s", strings.Join(answers, ", "))
}

// recordValue is a record's data as people write it.
func recordValue(rr dns.RR) string {
	if txt, ok := rr.(*dns.TXT); ok {
		return strings.Join(txt.Txt, "")
	}
	return strings.TrimSuffix(strings.TrimPrefix(rr.String(), rr.Header().String()), ".")
}
