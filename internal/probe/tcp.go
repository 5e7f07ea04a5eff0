package probe

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"time"

	"slipway/internal/machine"
)

// mostRead bounds what a check reads of an answer.
const mostRead = 8 << 20

// tcpCheck connects, and may send and expect text.
type tcpCheck struct{ p *machine.TCPProbe }

func newTCP(p *machine.Probe) check { return tcpCheck{p.TCP} }

func (c tcpCheck) bound(within time.Duration) time.Duration { return networkBound(within) }

func (c tcpCheck) want() string {
	if c.p.Expect != "" {
		return fmt.Sprintf("an answer with %q on tcp port %d", c.p.Expect, c.p.Port)
	}
	return fmt.Sprintf("a connection to tcp port %d", c.p.Port)
}

func (c tcpCheck) try(ctx context.Context, s *session) outcome {
	conn, err := s.dial(ctx, "tcp", s.hostPort(c.p.Host, c.p.Port))
	if err != nil {
		return misses("%s", plain(err))
	}
	defer conn.Close()
	if c.p.Send != "" {
		if _, err := conn.Write([]byte(c.p.Send)); err != nil {
			return misses("a connection, but sending failed: %s", plain(err))
		}
	}
	if c.p.Expect == "" {
		return holds("a connection")
	}
	return expectText(conn, c.p.Expect)
}

// expectText reads until the text appears, or no more comes.
func expectText(conn net.Conn, text string) outcome {
	var got bytes.Buffer
	chunk := make([]byte, 4096)
	for got.Len() < mostRead {
		n, err := conn.Read(chunk)
		got.Write(chunk[:n])
		if bytes.Contains(got.Bytes(), []byte(text)) {
			return holds("%s", quote(got.Bytes()))
		}
		if err != nil && got.Len() == 0 {
			return misses("no answer (%s)", readError(err))
		}
		if err != nil {
			return misses("%s and then %s", quote(got.Bytes()), readError(err))
		}
	}
	return misses("%d bytes without it", got.Len())
}
