package lab

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
)

// leaseTime is long: addresses do not change while a machine lives.
const leaseTime = 12 * time.Hour

// serveDHCP gives every machine of the directory, known by its hardware
// address, the same address Attach would have set (RFC 2131). Strangers get no
// answer.
func (l *Lab) serveDHCP(ctx context.Context) error {
	handler := func(conn net.PacketConn, peer net.Addr, req *dhcpv4.DHCPv4) {
		if reply := l.lease(req); reply != nil {
			conn.WriteTo(reply.ToBytes(), peer)
		}
	}
	s, err := server4.NewServer(Bridge, &net.UDPAddr{Port: dhcpv4.ServerPort}, handler, server4.WithLogger(quiet{}))
	if err != nil {
		return fmt.Errorf("serving DHCP on %s: %w", Bridge, err)
	}
	stop := context.AfterFunc(ctx, func() { s.Close() })
	defer stop()
	err = s.Serve()
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// quiet keeps the server's notes about malformed packets out of the log.
type quiet struct{}

func (quiet) PrintMessage(string, *dhcpv4.DHCPv4) {}
func (quiet) Printf(string, ...any)               {}

// lease makes the reply to one request; nil: none.
func (l *Lab) lease(req *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	if req.OpCode != dhcpv4.OpcodeBootRequest {
		return nil
	}
	for _, m := range l.Machines() {
		if m.MAC == req.ClientHWAddr.String() {
			return leaseFor(l.Subnets, m, req)
		}
	}
	return nil
}

func leaseFor(s Subnets, m Machine, req *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	self := net.IP(s.Gateway4().AsSlice())
	own := net.IP(m.IPv4.AsSlice())
	kind := dhcpv4.MessageTypeOffer
	switch req.MessageType() {
	case dhcpv4.MessageTypeDiscover:
	case dhcpv4.MessageTypeRequest:
		kind = dhcpv4.MessageTypeAck
		if id := req.ServerIdentifier(); id != nil && !id.Equal(self) {
			return nil // it took another server's offer
		}
		want := req.RequestedIPAddress()
		if want == nil {
			want = req.ClientIPAddr
		}
		if !want.Equal(own) {
			kind = dhcpv4.MessageTypeNak // RFC 2131, 4.3.2: wrong address
		}
	case dhcpv4.MessageTypeInform:
		kind = dhcpv4.MessageTypeAck
	default:
		return nil
	}
	reply, err := dhcpv4.NewReplyFromRequest(req,
		dhcpv4.WithMessageType(kind),
		dhcpv4.WithServerIP(self),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(self)))
	if err != nil || kind == dhcpv4.MessageTypeNak {
		return reply
	}
	if req.MessageType() != dhcpv4.MessageTypeInform {
		reply.YourIPAddr = own
		reply.UpdateOption(dhcpv4.OptIPAddressLeaseTime(leaseTime))
	}
	reply.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(s.IPv4.Bits(), 32)))
	reply.UpdateOption(dhcpv4.OptDNS(self))
	reply.UpdateOption(dhcpv4.OptHostName(m.Name))
	reply.UpdateOption(dhcpv4.OptDomainName(Domain))
	if m.Outside {
		reply.UpdateOption(dhcpv4.OptRouter(self))
	}
	return reply
}
