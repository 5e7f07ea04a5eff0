package probe

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"slipway/internal/machine"
)

// udpCheck sends a datagram and expects an answer. UDP has no connections: a
// server that stays silent cannot be told from none.
type udpCheck struct{ p *machine.TCPProbe }

func newUDP(p *machine.Probe) check { return udpCheck{p.UDP} }

// bound is short, because a datagram may be lost and must then be sent again.
func (c udpCheck) bound(time.Duration) time.Duration { return time.Second }

func (c udpCheck) want() string {
	return fmt.Sprintf("an answer with %q on udp port %d", c.p.Expect, c.p.Port)
}

func (c udpCheck) try(ctx context.Context, s *session) outcome {
	conn, err := s.dial(ctx, "udp", s.hostPort(c.p.Host, c.p.Port))
	if err != nil {
		return misses("%s", plain(err))
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(c.p.Send)); err != nil {
		return misses("sending failed: %s", plain(err))
	}
	packet := make([]byte, 64<<10)
	var last []byte
	for {
		n, err := conn.Read(packet)
		switch {
		case err == nil && bytes.Contains(packet[:n], []byte(c.p.Expect)):
			return holds("%s", quote(packet[:n]))
		case err == nil:
			last = bytes.Clone(packet[:n])
		case last != nil:
			return misses("%s", quote(last))
		default:
			return misses("no answer (%s)", readError(err))
		}
	}
}
