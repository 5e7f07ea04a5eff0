package lab

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestForwardTCP(t *testing.T) {
	machine, host := listen(t), listen(t)
	go echo(machine)
	f := &Forward{Target: machine.Addr().String()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.ServeTCP(ctx, host) }()
	// The echo answers only after our half is closed: half-close must pass.
	got, err := ask(host.Addr().String())
	if err != nil || got != "HELLO from 127.0.0.1" {
		t.Errorf("got %q, %v", got, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if f.Counts.Total.Load() != 1 || f.Counts.Active.Load() != 0 || f.Counts.In.Load() != 5 || f.Counts.Out.Load() != int64(len(got)) {
		t.Errorf("counts: %d total, %d active, %d in, %d out", f.Counts.Total.Load(), f.Counts.Active.Load(), f.Counts.In.Load(), f.Counts.Out.Load())
	}
}

func TestForwardRefused(t *testing.T) {
	closed, host := listen(t), listen(t)
	closed.Close()
	f := &Forward{Target: closed.Addr().String()}
	go f.ServeTCP(t.Context(), host)
	c, err := net.Dial("tcp", host.Addr().String()) // the reset may come this early
	if err == nil {
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		_, err = c.Read(make([]byte, 1))
	}
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if f.Counts.Refused.Load() != 1 {
		t.Errorf("%d refused", f.Counts.Refused.Load())
	}
}

// A machine that dies must not look like a machine that has finished.
func TestForwardReset(t *testing.T) {
	machine, host := listen(t), listen(t)
	go func() {
		c, err := machine.Accept()
		if err != nil {
			return
		}
		io.WriteString(c, "half an ans")
		time.Sleep(50 * time.Millisecond)
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}()
	f := &Forward{Target: machine.Addr().String()}
	go f.ServeTCP(t.Context(), host)
	if _, err := func() (string, error) {
		c, err := net.Dial("tcp", host.Addr().String())
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		data, err := io.ReadAll(c)
		return string(data), err
	}(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
}

func TestForwardUDP(t *testing.T) {
	machine, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer machine.Close()
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := machine.ReadFrom(buf)
			if err != nil {
				return
			}
			machine.WriteTo([]byte(strings.ToUpper(string(buf[:n]))), from)
		}
	}()
	host, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &Forward{Target: machine.LocalAddr().String()}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- f.ServeUDP(ctx, host) }()
	for _, word := range []string{"one", "two"} { // two clients at a time
		c, err := net.Dial("udp", host.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(5 * time.Second))
		for range 2 {
			io.WriteString(c, word)
			buf := make([]byte, 100)
			n, err := c.Read(buf)
			if err != nil || string(buf[:n]) != strings.ToUpper(word) {
				t.Errorf("got %q, %v", buf[:n], err)
			}
		}
	}
	if n := f.Counts.Active.Load(); n != 2 {
		t.Errorf("%d conversations, want 2", n)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
