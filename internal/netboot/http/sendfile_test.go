package http

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// TestSendfile asks the kernel, by strace, that an artefact leaves through
// sendfile(2): the test's own program serves as the server.
func TestSendfile(t *testing.T) {
	if path := os.Getenv("SLIPWAY_TEST_SENDFILE"); path != "" {
		serveOnce(t, path)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	dir := t.TempDir()
	path, trace := filepath.Join(dir, "image"), filepath.Join(dir, "trace")
	write(t, path, content(20_000_000))
	cmd := exec.Command(strace, "-f", "-qq", "-e", "trace=sendfile,sendfile64", "-o", trace, os.Args[0], "-test.run=^TestSendfile$")
	cmd.Env = append(os.Environ(), "SLIPWAY_TEST_SENDFILE="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		if bytes.Contains(out, []byte("ptrace")) {
			t.Skip("strace may not trace here")
		}
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, m := range regexp.MustCompile(`(?m)sendfile.*= (\d+)$`).FindAllSubmatch(b, -1) {
		n, _ := strconv.Atoi(string(m[1]))
		total += n
	}
	// The head of the file goes with the header.
	if total < 20_000_000-4096 {
		t.Errorf("only %d of 20000000 bytes went through sendfile: %.500s", total, b)
	}
}

func serveOnce(t *testing.T, path string) {
	all := &Artefacts{}
	defer all.Close()
	a, err := all.Add(path, "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, &Server{Artefacts: all})
	// A client with a connection of its own.
	c := &http.Client{Transport: &http.Transport{Dial: func(_, _ string) (net.Conn, error) { return net.Dial("tcp", address) }}}
	r, err := c.Get("http://h" + a.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	want, _ := os.ReadFile(path)
	if got, err := io.ReadAll(r.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes: %v", len(got), err)
	}
}
