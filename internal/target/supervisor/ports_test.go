package supervisor

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"slipway/internal/machine"
)

// TestTakenPort: a port that somebody else has is refused by name, with what to
// do, and those that were opened before it are given back.
func TestTakenPort(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := func(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }
	before := port(free)
	free.Close()
	spec := &Spec{Name: "web", Publish: true, Definition: &machine.Definition{Ports: []machine.Port{
		{Address: "127.0.0.1", Host: before, Machine: 80}, {Address: "127.0.0.1", Host: port(taken), Machine: 443},
	}}}
	files, _, err := openPorts(spec)
	if err == nil {
		closeAll(files)
		t.Fatal("a port that is taken was opened")
	}
	for _, want := range []string{"machine web", taken.Addr().String(), "something else uses it: take another host port in `ports:`"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	again, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(before)))
	if err != nil {
		t.Fatalf("the first port was not given back: %v", err)
	}
	again.Close()
	spec.Publish = false // as in a test of the machine
	if files, _, err := openPorts(spec); err != nil || len(files) != 0 {
		t.Errorf("ports that are not published: %d, %v", len(files), err)
	}
}
