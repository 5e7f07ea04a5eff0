package tftp

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/fleet"
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

func (l *diary) await(t *testing.T, kind string, n int) []fleet.Event {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if found := l.of(kind); len(found) >= n {
			return found
		}
	}
	t.Fatalf("no %d events %s; there are %+v", n, kind, l.events)
	return nil
}

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(n)})
	r.Read(b)
	return b
}

// folder is a policy: files by name.
func folder(files map[string][]byte) func(context.Context, Request) (Answer, error) {
	return func(_ context.Context, q Request) (Answer, error) {
		b, ok := files[q.Name]
		if !ok {
			return Answer{}, fs.ErrNotExist
		}
		return Answer{File: Bytes(b), About: fleet.Event{Client: "52:54:00:00:00:01", Stage: fleet.StageLoader}}, nil
	}
}

// serve starts a server on a free port of the loopback interface.
func serve(t *testing.T, s *Server, address string) (port int) {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c.LocalAddr().(*net.UDPAddr).Port
}

// judges are clients that others wrote: the command that reads name into out.
var judges = []struct {
	program string
	args    func(port int, name, out string) []string
}{
	{"curl", func(port int, name, out string) []string {
		return []string{"-sS", "-o", out, fmt.Sprintf("tftp://127.0.0.1:%d/%s", port, name)}
	}},
	{"curl", func(port int, name, out string) []string {
		return []string{"-sS", "--tftp-blksize", "9000", "-o", out, fmt.Sprintf("tftp://127.0.0.1:%d//%s", port, name)}
	}},
	{"curl", func(port int, name, out string) []string {
		return []string{"-sS", "--tftp-no-options", "-o", out, fmt.Sprintf("tftp://127.0.0.1:%d/%s", port, name)}
	}},
	{"tftp", func(port int, name, out string) []string {
		return []string{"-m", "binary", "127.0.0.1", strconv.Itoa(port), "-c", "get", name, out}
	}},
	{"atftp", func(port int, name, out string) []string {
		return []string{"--option", "blksize 1428", "--option", "windowsize 8", "--get", "-r", name, "-l", out, "127.0.0.1", strconv.Itoa(port)}
	}},
	{"atftp", func(port int, name, out string) []string {
		return []string{"--option", "tsize 0", "--get", "-r", name, "-l", out, "127.0.0.1", strconv.Itoa(port)}
	}},
}

func TestJudgesReadFiles(t *testing.T) {
	files := map[string][]byte{"empty": {}}
	for _, n := range []int{1, 511, 512, 513, 1024, 1428 * 8, 100_000, 1_111_040} {
		files[fmt.Sprintf("boot/%d", n)] = content(n)
	}
	for _, single := range []bool{false, true} {
		for _, bound := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
			l := &diary{}
			s := &Server{Open: folder(files), Sink: l, SinglePort: single}
			port := serve(t, s, bound)
			for i, j := range judges {
				t.Run(fmt.Sprintf("single=%t/%s/%s-%d", single, bound, j.program, i), func(t *testing.T) {
					if _, err := exec.LookPath(j.program); err != nil {
						t.Skipf("%s is not installed", j.program)
					}
					before := len(l.of(fleet.KindTFTPDone))
					count := 0
					for name, want := range files {
						if j.program == "curl" && len(want) == 0 {
							continue // curl 7.88 fails by itself when it hears of a size of 0
						}
						count++
						out := filepath.Join(t.TempDir(), "out")
						said, err := exec.Command(j.program, j.args(port, name, out)...).CombinedOutput()
						got, _ := os.ReadFile(out)
						if err != nil || !bytes.Equal(got, want) {
							t.Fatalf("%s: %v: got %d bytes, want %d: %s", name, err, len(got), len(want), said)
						}
					}
					all := l.await(t, fleet.KindTFTPDone, before+count)
					if e := all[len(all)-1]; e.Stage != fleet.StageLoader || e.Client == "" || e.Bytes != e.Total {
						t.Errorf("the event is %+v", e)
					}
				})
			}
			for _, e := range l.events {
				if e.Problem != "" {
					t.Errorf("a problem where there was none: %+v", e)
				}
			}
		}
	}
}

func TestJudgesHearThatAFileIsMissing(t *testing.T) {
	l := &diary{}
	port := serve(t, &Server{Open: folder(nil), Sink: l}, "127.0.0.1:0")
	for i, j := range judges {
		if _, err := exec.LookPath(j.program); err != nil {
			t.Skipf("%s is not installed", j.program)
		}
		began := time.Now()
		said, _ := exec.Command(j.program, j.args(port, "autoexec.ipxe", filepath.Join(t.TempDir(), "out"))...).CombinedOutput()
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%s waited %s for its answer: %s", j.program, took, said)
		}
		if s := strings.ToLower(string(said)); j.program != "curl" && !strings.Contains(s, "no such file") {
			t.Errorf("%s says %q", j.program, said)
		}
		if e := l.await(t, fleet.KindTFTPError, i+1)[i]; e.Fields["file"] != "autoexec.ipxe" || e.Problem == "" {
			t.Errorf("the event is %+v", e)
		}
	}
}
