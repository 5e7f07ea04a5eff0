package netboot

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/machine"
	"slipway/internal/netboot/token"
)

// told are events that somebody heard.
type told struct {
	mu   sync.Mutex
	list []fleet.Event
}

func (l *told) Record(e fleet.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

// count is how many events of a kind there are.
func (l *told) count(kind string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.list {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// last is the last event of a kind.
func (l *told) last(kind string) (e fleet.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.list {
		if l.list[i].Kind == kind {
			e = l.list[i]
		}
	}
	return e
}

// serving runs a server's HTTP part; its address is given.
func serving(t *testing.T, s *Server, definition string) (base string, heard *told) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "node.yaml", definition)
	folder, err := OpenFolder(filepath.Join(dir, "node.yaml"), machine.Options{HostArch: "amd64"}, func(s string) { t.Error(s) })
	if err != nil {
		t.Fatal(err)
	}
	if s.Fleet, err = fleet.New(t.Context(), fleet.NewMemory(fleet.Limits{}), fleet.Options{}); err != nil {
		t.Fatal(err)
	}
	if s.HTTP, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	heard = new(told)
	s.Roster, s.Sink = folder.Roster, heard
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		s.Fleet.Close()
	})
	<-s.Ready()
	return "http://" + s.HTTP.Addr().String(), heard
}

// fetch gives the status and the text of an address.
func fetch(t *testing.T, address string) (int, string) {
	t.Helper()
	q, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	return do(t, q)
}

func do(t *testing.T, q *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

const ramNode = "slipway: v1\nname: node\nsystem: debian/trixie\narch: amd64\nnetboot: {match: {mac: \"52:54:00:04:04:03\"}}\n"

// An initrd with secrets is given to its machine once for each time that it
// asked for an address; others and those who come late get 403, and are shown.
func TestSecretInitrd(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"vmlinuz", "initrd"} {
		write(t, dir, name, "the "+name)
	}
	system := &System{Version: "v1", Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd"), Secret: true}
	s := &Server{Images: Fixed{"node": system}}
	base, heard := serving(t, s, ramNode)
	claim := token.Claim{Client: "52:54:00:04:04:03", Machine: "node", Address: netip.MustParseAddr("127.0.0.1")}
	files := func(word string) (kernel, initrd string) {
		t.Helper()
		status, script := fetch(t, base+"/b/"+word+"/"+scriptName)
		found := regexp.MustCompile(`/f/[0-9a-f]{64}/(vmlinuz|initrd)`).FindAllString(script, -1)
		if status != http.StatusOK || len(found) < 2 {
			t.Fatalf("the script: %d\n%s", status, script)
		}
		for _, f := range found {
			if strings.HasSuffix(f, "vmlinuz") {
				kernel = f
			} else {
				initrd = f
			}
		}
		return kernel, initrd
	}
	mine := s.Tokens().Mint(claim)
	kernel, initrd := files(mine)
	is := func(who, word, file string, want int) {
		t.Helper()
		if got, _ := fetch(t, base+"/b/"+word+file); got != want {
			t.Errorf("%s gets %d for %s, want %d", who, got, file[len(file)-8:], want)
		}
	}
	other := s.Tokens().Mint(token.Claim{Client: "52:54:00:04:04:09", Address: claim.Address})
	elsewhere := s.Tokens().Mint(token.Claim{Client: claim.Client, Machine: "node", Address: netip.MustParseAddr("192.0.2.9")})
	late := s.Tokens().Mint(token.Claim{Client: claim.Client, Machine: "node", Address: claim.Address, Expires: time.Now().Add(-time.Second)})
	for who, word := range map[string]string{"another machine": other, "another address": elsewhere, "who comes late": late, "who has no token": strings.Repeat("a", 26)} {
		is(who, word, initrd, http.StatusForbidden)
	}
	if n := heard.count(fleet.KindHTTPRefused); n != 4 {
		t.Errorf("%d refusals are shown, want 4", n)
	}
	is("the machine", mine, kernel, http.StatusOK)
	is("the machine", mine, kernel, http.StatusOK) // that is no secret
	is("the machine", mine, initrd, http.StatusOK)
	is("the machine, once more,", mine, initrd, http.StatusForbidden)
	if n := heard.count("token.refused"); n < 1 || heard.count(fleet.KindHTTPRefused) != 5 {
		t.Errorf("the second fetch is not shown: %d, %d", n, heard.count(fleet.KindHTTPRefused))
	}
	again := s.Tokens().Mint(claim)
	_, initrd = files(again)
	is("the machine, at its next start,", again, initrd, http.StatusOK)
	if status, _ := fetch(t, base+"/a/sha256-"+initrd[3:67]); status != http.StatusForbidden {
		t.Errorf("without any token: %d", status)
	}
}
