package http

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/netboot/token"
)

// diary is a sink that remembers.
type diary struct {
	mu     sync.Mutex
	events []fleet.Event
}

func (l *diary) Record(e fleet.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *diary) of(kind string) (found []fleet.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// await waits for the n-th event of a kind.
func (l *diary) await(t *testing.T, kind string, n int) fleet.Event {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if found := l.of(kind); len(found) >= n {
			return found[n-1]
		}
	}
	t.Fatalf("no %d events %s; there are %+v", n, kind, l.events)
	return fleet.Event{}
}

func content(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// serve starts a server on the loopback interface.
func serve(t *testing.T, s *Server) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func book(t *testing.T, sink fleet.Sink) *token.Book {
	t.Helper()
	b, err := token.Open(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Sink = sink
	return b
}

var loopback = netip.MustParseAddr("127.0.0.1")

// raw sends a request as it stands and reads the answer.
func raw(t *testing.T, address, request string) (*http.Response, []byte) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, request)
	method, _, _ := strings.Cut(request, " ")
	r, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	return r, b
}

func get(t *testing.T, address, path string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	return raw(t, address, "GET "+path+" HTTP/1.1\r\nHost: x\r\n"+strings.Join(append(headers, ""), "\r\n")+"\r\n")
}

// files is a Boot that knows some names.
func files(all map[string]Content) func(context.Context, Call) (Content, error) {
	return func(_ context.Context, c Call) (Content, error) {
		found, ok := all[c.Name]
		if !ok {
			return Content{}, fs.ErrNotExist
		}
		return found, nil
	}
}

func TestFirmwareIsAnsweredToTheLetter(t *testing.T) {
	l := &diary{}
	tokens := book(t, l)
	kernel := content(3_000_000)
	s := &Server{Tokens: tokens, Sink: l, Boot: files(map[string]Content{
		"ipxe.efi":         {Bytes: kernel, ETag: `"v1"`, About: fleet.Event{Stage: fleet.StageLoader}},
		"dir//boot.img":    {Bytes: []byte("image")},
		"autoexec.ipxe":    {Bytes: []byte("#!ipxe\n")},
		"with space+plus ": {Bytes: []byte("x")},
		"empty":            {},
	})}
	address := serve(t, s)
	tok := tokens.Mint(token.Claim{Client: "52:54:00:00:00:01", Machine: "node1", Address: loopback})

	for path, media := range map[string]string{
		"/b/" + tok + "/ipxe.efi":                              "application/efi",
		"//b/" + tok + "//ipxe.efi":                            "application/efi",
		"http://h/b/" + tok + "/ipxe.efi":                      "application/efi",
		"/b/" + strings.ToUpper(tok) + "/ipxe.efi":             "application/efi",
		"/b/" + tok + "/dir//boot.img?mac=" + "x":              "application/vnd.efi-img",
		"/b/" + tok + "/autoexec.ipxe":                         "text/plain; charset=utf-8",
		"/b/" + tok + "/with%20space+plus%20":                  "application/octet-stream",
		"/b/" + tok + "/empty":                                 "application/octet-stream",
		"/b/" + tok + "/autoexec%2eipxe?mac=52-54-00-00-00-01": "text/plain; charset=utf-8",
	} {
		if strings.Contains(path, "mac=x") {
			r, _ := get(t, address, path)
			if r.StatusCode != http.StatusForbidden {
				t.Errorf("%s: a request of another machine got %s", path, r.Status)
			}
			path, _, _ = strings.Cut(path, "?")
		}
		r, b := get(t, address, path)
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != media {
			t.Errorf("%s: %s, type %q", path, r.Status, r.Header.Get("Content-Type"))
		}
		if r.ContentLength != int64(len(b)) || len(r.TransferEncoding) != 0 || r.Header.Get("Content-Encoding") != "" || r.Close {
			t.Errorf("%s: length %d of %d, transfer %v, closed %t", path, r.ContentLength, len(b), r.TransferEncoding, r.Close)
		}
		for name, values := range r.Header {
			if values[0] == "" {
				t.Errorf("%s: the header %s is empty, which hangs OVMF", path, name)
			}
		}
		head, none := raw(t, address, "HEAD "+path+" HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
		if head.StatusCode != 200 || head.ContentLength != r.ContentLength || len(none) != 0 {
			t.Errorf("HEAD %s: %s, length %d, GET has %d", path, head.Status, head.ContentLength, r.ContentLength)
		}
	}
	for _, path := range []string{
		"/b/" + tok + "/../ipxe.efi", "/b/" + tok + "/%2e%2e/%2e%2e/etc/passwd", "/b/" + tok + `/..\..\etc\passwd`,
		"/b/" + tok + "/ipxe.efi%00.txt", "/b/" + tok + "/none", "/b/" + tok, "/a/sha256-00", "/n/" + tok + "/x", "/", "/etc/passwd", "*",
	} {
		if r, b := get(t, address, path); r.StatusCode != 404 || r.ContentLength != int64(len(b)) || r.Header.Get("Location") != "" {
			t.Errorf("%s: %s", path, r.Status)
		}
	}
	if e := l.await(t, fleet.KindHTTPDone, 1); e.Client != "52:54:00:00:00:01" || e.Machine != "node1" {
		t.Errorf("the event is %+v", e)
	}
	for _, e := range l.events {
		if strings.Contains(fmt.Sprint(e), tok) {
			t.Errorf("the token stands in an event: %+v", e)
		}
	}
}

func TestRanges(t *testing.T) {
	l := &diary{}
	tokens := book(t, l)
	want := content(1_000_000)
	name := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, want, 0o600); err != nil {
		t.Fatal(err)
	}
	s := &Server{Tokens: tokens, Sink: l, Boot: func(context.Context, Call) (Content, error) {
		f, err := os.Open(name)
		return Content{File: f, ETag: `"v1"`, About: fleet.Event{Stage: fleet.StageKernel}}, err
	}}
	address := serve(t, s)
	path := "/b/" + tokens.Mint(token.Claim{Address: loopback}) + "/image"
	for _, c := range []struct {
		headers  []string
		status   int
		from, to int
		says     string
	}{
		{[]string{"Range: bytes=0-0"}, 206, 0, 1, "bytes 0-0/1000000"},
		{[]string{"Range: bytes=999999-"}, 206, 999999, 1000000, "bytes 999999-999999/1000000"},
		{[]string{"Range: bytes=-7"}, 206, 999993, 1000000, "bytes 999993-999999/1000000"},
		{[]string{"Range: bytes=100-2000000"}, 206, 100, 1000000, "bytes 100-999999/1000000"},
		{[]string{"Range: bytes=100-", `If-Range: "v1"`}, 206, 100, 1000000, "bytes 100-999999/1000000"},
		{[]string{"Range: bytes=100-", `If-Range: "v0"`}, 200, 0, 1000000, ""},
		{[]string{"Range: bytes=0-1,5-6"}, 200, 0, 1000000, ""},
		{[]string{"Range: bytes=1000000-"}, 416, 0, 0, "bytes */1000000"},
		{[]string{"Range: lines=1-2"}, 200, 0, 1000000, ""},
		{[]string{`If-None-Match: "v1"`}, 304, 0, 0, ""},
	} {
		r, b := get(t, address, path, c.headers...)
		if r.StatusCode != c.status || r.Header.Get("Content-Range") != c.says {
			t.Errorf("%v: %s, %q", c.headers, r.Status, r.Header.Get("Content-Range"))
		}
		if c.to > 0 && !bytes.Equal(b, want[c.from:c.to]) {
			t.Errorf("%v: %d bytes, and not those", c.headers, len(b))
		}
	}
	for i := 1; i <= 10; i++ {
		e := l.await(t, fleet.KindHTTPDone, i)
		if whole := e.Fields[fleet.FieldStatus] == "200"; whole != (e.Stage == fleet.StageKernel) || whole && e.Bytes != 1_000_000 {
			t.Errorf("evidence of what was not all there: %+v", e)
		}
	}
}

// TestKeepAlive reads many files over one connection.
func TestKeepAlive(t *testing.T) {
	l := &diary{}
	tokens := book(t, l)
	s := &Server{Tokens: tokens, Sink: l, Boot: files(map[string]Content{"a": {Bytes: content(70_000)}})}
	address := serve(t, s)
	tok := tokens.Mint(token.Claim{Address: loopback})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	for i := range 50 {
		path := "/b/" + tok + "/" + []string{"a", "missing", "../x"}[i%3]
		fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		r, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if n, err := io.Copy(io.Discard, r.Body); err != nil || n != r.ContentLength {
			t.Fatalf("request %d: %d of %d bytes: %v", i, n, r.ContentLength, err)
		}
	}
}

func TestAbortIsTold(t *testing.T) {
	l := &diary{}
	tokens := book(t, l)
	s := &Server{Tokens: tokens, Sink: l, Boot: files(map[string]Content{"big": {Bytes: content(60 << 20), About: fleet.Event{Stage: fleet.StageInitrd}}})}
	address := serve(t, s)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET /b/%s/big HTTP/1.1\r\nHost: x\r\n\r\n", tokens.Mint(token.Claim{Address: loopback}))
	io.ReadFull(c, make([]byte, 100_000))
	c.Close()
	e := l.await(t, fleet.KindHTTPAbort, 1)
	if e.Problem == "" || e.Stage != "" || e.Fields[fleet.FieldFile] != "big" || len(l.of(fleet.KindHTTPDone)) != 0 {
		t.Errorf("the event is %+v", e)
	}
}

// TestASlowClientHasWhatItAcknowledged: the server's kernel takes the file at
// once; the event must wait for the client.
func TestASlowClientHasWhatItAcknowledged(t *testing.T) {
	l := &diary{}
	tokens := book(t, l)
	s := &Server{Tokens: tokens, Sink: l, Stall: 700 * time.Millisecond, Boot: files(map[string]Content{"k": {Bytes: content(400_000), About: fleet.Event{Stage: fleet.StageKernel}}})}
	address := serve(t, s)
	ask := func() net.Conn {
		d := net.Dialer{Control: smallWindow}
		c, err := d.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "GET /b/%s/k HTTP/1.1\r\nHost: x\r\n\r\n", tokens.Mint(token.Claim{Address: loopback}))
		return c
	}
	c := ask()
	time.Sleep(200 * time.Millisecond)
	if n := len(l.of(fleet.KindHTTPDone)); n != 0 {
		t.Fatal("told as done before the client took it")
	}
	if n, err := io.CopyN(io.Discard, c, 400_000); err != nil {
		t.Fatal(n, err)
	}
	io.CopyN(io.Discard, c, 100)
	if e := l.await(t, fleet.KindHTTPDone, 1); e.Stage != fleet.StageKernel {
		t.Errorf("the event is %+v", e)
	}
	c.Close()

	stalled := ask()
	defer stalled.Close()
	if e := l.await(t, fleet.KindHTTPAbort, 1); !strings.Contains(e.Problem, "bytes") {
		t.Errorf("the event is %+v", e)
	}
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	address := serve(t, &Server{headers: 300 * time.Millisecond})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n")
	c.SetReadDeadline(time.Now().Add(15 * time.Second))
	began := time.Now()
	if _, err := io.ReadAll(c); err != nil || time.Since(began) > 10*time.Second {
		t.Errorf("still open after %s: %v", time.Since(began), err)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	address := serve(t, &Server{})
	r, _ := raw(t, address, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("a", 60<<10)+"\r\n\r\n")
	if r.StatusCode != 431 {
		t.Errorf("got %s", r.Status)
	}
}

func TestConnectionsOfOneClientAreCounted(t *testing.T) {
	l := &diary{}
	address := serve(t, &Server{PerClient: 3, Sink: l})
	var open []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
		io.WriteString(c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
		if r, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || r.StatusCode != 404 {
			t.Fatal(r, err)
		}
	}
	fourth, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer fourth.Close()
	if b, _ := io.ReadAll(fourth); len(b) != 0 {
		t.Errorf("the fourth connection was answered %q", b)
	}
	l.await(t, fleet.KindHTTPBusy, 1)
	for _, c := range open {
		c.Close()
	}
	for range 100 {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = http.ReadResponse(bufio.NewReader(c), nil)
		c.Close()
		if err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("closed connections are still counted")
}

func TestAdmissionSendsAwayWhoComesBack(t *testing.T) {
	l := &diary{}
	tokens := book(t, l)
	big := content(40 << 20)
	s := &Server{Tokens: tokens, Sink: l, Admission: &Admission{Transfers: 1}, Boot: files(map[string]Content{
		"big": {Bytes: big}, "small": {Bytes: []byte("#!ipxe")},
	})}
	address := serve(t, s)
	path := "/b/" + tokens.Mint(token.Claim{Address: loopback}) + "/"
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "GET %sbig HTTP/1.1\r\nHost: x\r\n\r\n", path)
	io.ReadFull(c, make([]byte, 100))
	l.await(t, fleet.KindHTTPStart, 1)
	r, _ := get(t, address, path+"big", "User-Agent: iPXE/1.21.1+ (ga12345)")
	after, _ := strconv.Atoi(r.Header.Get("Retry-After"))
	if r.StatusCode != 503 || after < 1 || after > 60 {
		t.Errorf("iPXE got %s, Retry-After %q", r.Status, r.Header.Get("Retry-After"))
	}
	if r, b := get(t, address, path+"small", "User-Agent: iPXE/1.21.1"); r.StatusCode != 200 || string(b) != "#!ipxe" {
		t.Errorf("a script had to wait: %s", r.Status)
	}
	if r, b := get(t, address, path+"big", "User-Agent: UefiHttpBoot/1.0"); r.StatusCode != 200 || !bytes.Equal(b, big) {
		t.Errorf("EDK2, which does not come back, got %s", r.Status)
	}
	c.Close()
	l.await(t, fleet.KindHTTPAbort, 1)
	if r, b := get(t, address, path+"big", "User-Agent: iPXE/1.21.1"); r.StatusCode != 200 || !bytes.Equal(b, big) {
		t.Errorf("the place was not freed: %s", r.Status)
	}
	l.await(t, fleet.KindHTTPBusy, 1)
}

func TestNodeGetsItsCall(t *testing.T) {
	l := &diary{}
	tokens := book(t, l)
	s := &Server{Tokens: tokens, Sink: l, MaxBody: 1000, Node: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		fmt.Fprintf(w, "%s %s %s", CallOf(r).Claim.Machine, CallOf(r).Name, b)
	})}
	address := serve(t, s)
	tok := tokens.Mint(token.Claim{Machine: "node1", Address: loopback})
	post := func(tok string, n int) (*http.Response, []byte) {
		return raw(t, address, fmt.Sprintf("POST /n/%s/report/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", tok, n, strings.Repeat("r", n)))
	}
	if r, b := post(tok, 2); r.StatusCode != 200 || string(b) != "node1 report/x rr" {
		t.Errorf("%s %q", r.Status, b)
	}
	if r, _ := post(strings.Repeat("a", 26), 2); r.StatusCode != 403 {
		t.Errorf("a wrong token got %s", r.Status)
	}
	if r, _ := post(tok, 2000); r.StatusCode != 413 {
		t.Errorf("a report that is too long got %s", r.Status)
	}
}
