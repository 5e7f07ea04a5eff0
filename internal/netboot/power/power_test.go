package power

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var mac = net.HardwareAddr{0x52, 0x54, 0, 0xab, 0xcd, 0xef}

func TestMagicPacket(t *testing.T) {
	b, err := Packet(mac, []byte{1, 2, 3, 4, 5, 6})
	want := "ffffffffffff" + strings.Repeat("525400abcdef", 16) + "010203040506"
	if err != nil || hex.EncodeToString(b) != want {
		t.Errorf("got %x, %v", b, err)
	}
	for _, bad := range []struct {
		mac      net.HardwareAddr
		password []byte
	}{{mac[:5], nil}, {append(mac[:6:6], 1, 2), nil}, {mac, []byte{1}}} {
		if _, err := Packet(bad.mac, bad.password); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// TestWakeIsHeard receives what goes to the broadcast address of the loopback
// network.
func TestWakeIsHeard(t *testing.T) {
	c, err := net.ListenPacket("udp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	port := uint16(c.LocalAddr().(*net.UDPAddr).Port)
	w := &Wake{To: []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr("127.255.255.255"), port)}, Times: 2, Between: time.Millisecond}
	if err := w.On(t.Context(), "node1", mac); err != nil {
		t.Fatal(err)
	}
	want, _ := Packet(mac, nil)
	for range 2 {
		b := make([]byte, 200)
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, _, err := c.ReadFrom(b); err != nil || !bytes.Equal(b[:n], want) {
			t.Errorf("heard %x, %v", b[:n], err)
		}
	}
}

func TestBroadcastAddresses(t *testing.T) {
	for cidr, want := range map[string]string{"10.1.2.3/8": "10.255.255.255", "192.0.2.77/26": "192.0.2.127", "192.0.2.1/32": "192.0.2.1"} {
		ip, n, _ := net.ParseCIDR(cidr)
		n.IP = ip
		if got := broadcastOf(n); got.String() != want {
			t.Errorf("%s: got %s, want %s", cidr, got, want)
		}
	}
}

func TestCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	c := &Command{Args: []string{"/bin/sh", "-c", `echo "$SLIPWAY_ACTION $SLIPWAY_MACHINE $SLIPWAY_MAC" > "$0"`, out}}
	if err := c.On(t.Context(), "node1", mac); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(out); string(b) != "on node1 52:54:00:ab:cd:ef\n" {
		t.Errorf("it found %q", b)
	}
	for args, want := range map[string]string{
		"echo no such outlet >&2; exit 3": "exit status 3: no such outlet",
		"yes | head -c 1000000; exit 1":   "exit status 1: y\n",
		"sleep 60 & sleep 60":             "it did not end within 300ms",
	} {
		c := &Command{Args: []string{"/bin/sh", "-c", args}, Limit: 300 * time.Millisecond}
		if strings.HasPrefix(args, "yes") {
			c.Limit = time.Minute
		}
		if err := c.On(t.Context(), "node1", mac); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 3000 {
			t.Errorf("%s: %v", args, err)
		}
	}
	if err := (&Command{Args: []string{"/none"}}).On(t.Context(), "node1", mac); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a command that is not there: %v", err)
	}
	if err := (&Command{}).On(t.Context(), "node1", mac); err == nil {
		t.Error("no command was run")
	}
}

// wires are modem lines in memory.
type wires struct {
	began  time.Time
	log    []string
	closed bool
	fail   Line
	broken bool
}

func (w *wires) set(l Line, on bool) error {
	w.log = append(w.log, fmt.Sprintf("%s %s %t", time.Since(w.began), l, on))
	if w.broken && on && l == w.fail {
		return errors.New("input/output error")
	}
	return nil
}

func (w *wires) Close() error { w.closed = true; return nil }

func TestSerialPressesTheButton(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wires{began: time.Now()}
		s := &Serial{Device: "/dev/ttyS0", Line: RTS, Hold: 2 * time.Second, open: func(string) (lines, error) { return w, nil }}
		if err := s.On(t.Context(), "node1", mac); err != nil || !w.closed {
			t.Fatal(err)
		}
		want := "0s DTR false, 0s RTS false, 100ms RTS true, 2.1s RTS false"
		if got := strings.Join(w.log, ", "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		// Interrupted in the middle, the button is let go.
		w.log, w.closed, w.began = nil, false, time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.On(ctx, "node1", mac); !errors.Is(err, context.DeadlineExceeded) || !w.closed || w.log[len(w.log)-1] != "1s RTS false" {
			t.Errorf("%v, %v", err, w.log)
		}
		w.broken, w.fail = true, RTS
		if err := s.On(t.Context(), "node1", mac); err == nil || !strings.Contains(err.Error(), "turning on node1 by RTS of /dev/ttyS0: input/output error") {
			t.Error(err)
		}
	})
}

// TestPortsWithoutLines: a pseudo terminal has no modem lines, nor has a file.
func TestPortsWithoutLines(t *testing.T) {
	for _, device := range []string{"/dev/ptmx", "/dev/null"} {
		if _, err := os.Stat(device); err != nil {
			continue
		}
		err := (&Serial{Device: device}).On(t.Context(), "node1", mac)
		if err == nil || !strings.Contains(err.Error(), "no serial port with modem lines") {
			t.Errorf("%s: %v", device, err)
		}
	}
	if err := (&Serial{Device: "/dev/none"}).On(t.Context(), "node1", mac); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	for name, want := range map[string]Line{"": DTR, "dtr": DTR, "rts": RTS} {
		if l, err := ParseLine(name); err != nil || l != want {
			t.Errorf("%q: %v, %v", name, l, err)
		}
	}
	if _, err := ParseLine("cts"); err == nil {
		t.Error("CTS is an input")
	}
}
