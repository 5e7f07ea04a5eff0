package netboot

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

func TestListenTaken(t *testing.T) {
	held, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	port := held.Addr().(*net.TCPAddr).Port
	_, _, err = Listen(netip.MustParseAddr("127.0.0.1"), port)
	if want := fmt.Sprintf("(process %d)", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want it to name us: %s", err, want)
	}
}

func TestInterfaceMissing(t *testing.T) {
	if _, _, err := Interface("no-such-if"); err == nil || !strings.Contains(err.Error(), "there is no interface no-such-if; there are lo") {
		t.Errorf("got %v", err)
	}
}
