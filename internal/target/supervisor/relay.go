package supervisor

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"

	"slipway/internal/guest/wire"
)

// relay passes a client's stream on to the guest.
func (s *supervisor) relay(st *wire.Stream) wire.Reply {
	s.mu.Lock()
	agent, run := s.agent, s.run
	s.mu.Unlock()
	if agent == nil && run != nil && s.Spec.Definition.FromImage() {
		return wire.Reply{Error: "a stock image has no agent; reach it with: slipway ssh " + s.Spec.Name}
	}
	if agent == nil && run != nil {
		return wire.Reply{Error: "the machine has no agent, because its initramfs is not slipway's (boot.initramfs); its console and its network remain"}
	}
	if agent == nil {
		return wire.Reply{Error: "the machine is not running at the moment"}
	}
	to, err := s.gate.enter(agent, st.Request)
	if err != nil {
		return wire.Reply{Error: "the machine's agent does not answer: " + err.Error()}
	}
	go func() {
		select {
		case <-st.Over():
			to.Reset()
		case <-to.Over():
		}
	}()
	go func() {
		for {
			c, ok := st.NextControl()
			if !ok || to.SendControl(c) != nil {
				return
			}
		}
	}()
	go func() {
		if _, err := io.Copy(to.Writer(wire.Input), st.Reader(wire.Input)); err == nil {
			to.Writer(wire.Input).Close()
		}
	}()
	var wg sync.WaitGroup
	for ch := wire.Output; ch <= wire.Errors; ch++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			io.Copy(st.Writer(ch), to.Reader(ch))
			st.Writer(ch).Close()
		}()
	}
	wg.Wait()
	reply, err := to.Wait(context.Background())
	if s.gate.leave(to) {
		return wire.Reply{Error: errCut.Error()}
	}
	var remote *wire.RemoteError
	if err != nil && !errors.As(err, &remote) {
		reply = wire.Reply{Error: "the machine ended: " + err.Error()}
	}
	return reply
}

// packets tells whether a network keeps message boundaries.
func packets(network string) bool {
	return strings.HasPrefix(network, "udp") || network == "unixgram"
}

// maxPacket is the largest datagram.
const maxPacket = 65535

// copyConn copies between a client's stream and a connection until either ends.
func copyConn(st *wire.Stream, conn net.Conn, packet bool) wire.Reply {
	go func() {
		in := st.Reader(wire.Input)
		if packet {
			for {
				p, err := readPacket(in)
				if err != nil {
					return
				}
				conn.Write(p) // datagrams may get lost
			}
		}
		io.Copy(conn, in)
		if half, ok := conn.(interface{ CloseWrite() error }); ok {
			half.CloseWrite()
		}
	}()
	out := st.Writer(wire.Output)
	if !packet {
		_, err := io.Copy(out, conn)
		return dialFailure(err)
	}
	buf := make([]byte, maxPacket)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			if errors.Is(err, syscall.ECONNREFUSED) {
				return dialFailure(err)
			}
			return wire.Reply{}
		}
		if err := writePacket(out, buf[:n]); err != nil {
			return wire.Reply{}
		}
	}
}

func readPacket(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	p := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(r, p)
	return p, err
}

func writePacket(w io.Writer, p []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...))
	return err
}

// dialFailure keeps the kinds of failure that a prober tells apart.
func dialFailure(err error) wire.Reply {
	if err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
		return wire.Reply{}
	}
	r := wire.Reply{Error: err.Error()}
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		r.Code = "refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		r.Code = "unreachable"
	case errors.Is(err, syscall.ECONNRESET):
		r.Code = "reset"
	case errors.As(err, &dns):
		r.Code = "no-name"
	case os.IsTimeout(err):
		r.Code = "timeout"
	}
	return r
}
