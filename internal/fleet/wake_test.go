package fleet

import (
	"bytes"
	"net"
	"testing"
	"time"
)

func TestWakeSendsAMagicPacket(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f := newTest(t, NewMemory(Limits{}), time.Now)
	if err := f.Wake("web", conn.LocalAddr().String()); err == nil {
		t.Error("a machine that nobody knows was woken")
	}
	if err := f.Update(t.Context(), "web", func(n *Node) error { n.Name, n.Clients = "web", []string{"52:54:00:AA:00:01"}; return nil }); err != nil {
		t.Fatal(err)
	}
	if err := f.Wake("web", conn.LocalAddr().String()); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1500)
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, _, err := conn.ReadFrom(got)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte{0xff}, 6)
	for range 16 {
		want = append(want, 0x52, 0x54, 0, 0xaa, 0, 1)
	}
	if !bytes.Equal(got[:n], want) {
		t.Errorf("sent % x", got[:n])
	}
	if n, _ := f.Node("web"); n.Stage != "" || !n.LastHeard.IsZero() {
		t.Errorf("sending counts as hearing: %+v", n)
	}
}
