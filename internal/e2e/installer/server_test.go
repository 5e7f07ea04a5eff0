package installer

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
	"slipway/internal/netboot/answer"
)

// server is what a machine of the test reaches: its answer, an address that
// listens to it, and the archive, which is fetched for it and kept.
type server struct {
	t      testing.TB
	begin  time.Time
	mirror string
	cache  string

	mu     sync.Mutex
	files  map[string]answer.File
	asked  map[string]int // paths, and how often
	stages []string
	wanted map[string]chan struct{} // a stage or an answer's file that somebody waits for
	logs   map[string][]byte
	lines  []string // of syslog

	history []string // what was noted
}

const token = "/b/0123456789abcdef/"

func newServer(t testing.TB) *server {
	mirror := kit.Mirror(t)
	if mirror == "" {
		mirror = "http://ftp.debian.org/debian"
	}
	return &server{
		t: t, begin: time.Now(), mirror: strings.TrimRight(mirror, "/"), cache: filepath.Join(kit.CacheDir(t), "archive"),
		files: map[string]answer.File{}, asked: map[string]int{}, wanted: map[string]chan struct{}{}, logs: map[string][]byte{},
	}
}

// serve answers until the listener closes.
func (s *server) serve(c *cable) {
	srv := &http.Server{Handler: s}
	go srv.Serve(c.http)
	s.t.Cleanup(func() { srv.Close() })
	go s.listen(c.syslog)
	s.t.Cleanup(func() { c.syslog.Close() })
}

// listen keeps what the installer logs.
func (s *server) listen(c net.PacketConn) {
	buf := make([]byte, 64<<10)
	for {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.lines = append(s.lines, strings.TrimSpace(string(buf[:n])))
		s.mu.Unlock()
	}
}

// logged tells whether a line of syslog contains a text.
func (s *server) logged(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if strings.Contains(l, text) {
			return true
		}
	}
	return false
}

// when gives a channel that is closed when something happens: "stage NAME" or
// "get PREFIX".
func (s *server) when(what string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.wanted[what]
	if c == nil {
		c = make(chan struct{})
		s.wanted[what] = c
	}
	for _, h := range s.history {
		if strings.HasPrefix(h, what) { // it did already
			delete(s.wanted, what)
			close(c)
			break
		}
	}
	return c
}

// missing is the first part of the installer that the mirror does not hold.
func (s *server) missing() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.history {
		if name, ok := strings.CutPrefix(h, "missing "); ok {
			return path.Base(name)
		}
	}
	return ""
}

// count is how often a path was asked for.
func (s *server) count(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

func (s *server) happened(what string) {
	s.history = append(s.history, what)
	for w, c := range s.wanted {
		if strings.HasPrefix(what, w) {
			close(c)
			delete(s.wanted, w)
		}
	}
}

func (s *server) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.t.Logf("%6.1f s  %s", time.Since(s.begin).Seconds(), what)
	s.happened(what)
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[r.URL.Path]++
	s.mu.Unlock()
	switch name, mine := strings.CutPrefix(r.URL.Path, token); {
	case mine && name == "report":
		s.mu.Lock()
		s.stages = append(s.stages, r.URL.Query().Get("stage"))
		s.mu.Unlock()
		s.note("stage " + r.URL.Query().Get("stage") + ": " + r.URL.Query().Get("text"))
	case mine && name == "logs":
		data, _ := io.ReadAll(io.LimitReader(r.Body, 16<<20))
		s.mu.Lock()
		s.logs[r.URL.Query().Get("name")] = data
		s.mu.Unlock()
		s.note(fmt.Sprintf("log %s, %d bytes", r.URL.Query().Get("name"), len(data)))
	case mine:
		f, ok := s.files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		s.note("answer " + name)
		w.Header().Set("Content-Type", f.Type)
		w.Write(f.Data)
	case strings.HasPrefix(r.URL.Path, "/debian/"):
		s.archive(w, r)
	default:
		http.NotFound(w, r)
	}
}

// archive passes a file of the archive on; packages, whose names never mean
// another content, are kept.
func (s *server) archive(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/debian")
	local := filepath.Join(s.cache, filepath.FromSlash(name))
	pool := strings.HasPrefix(name, "/pool/")
	if pool {
		s.note("get " + name)
	}
	if _, err := os.Stat(local); err != nil || !pool {
		if status, err := s.fetch(name, local); err != nil {
			if status == http.StatusNotFound && strings.HasSuffix(name, ".udeb") {
				s.note("missing " + name)
			}
			http.Error(w, err.Error(), status)
			return
		}
	}
	f, err := os.Open(local)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	http.ServeContent(w, r, path.Base(name), time.Time{}, f)
}

func (s *server) fetch(name, local string) (int, error) {
	resp, err := http.Get(s.mirror + name)
	if err != nil {
		return http.StatusBadGateway, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, fmt.Errorf("the mirror says %s", resp.Status)
	}
	if err := os.MkdirAll(filepath.Dir(local), 0o700); err != nil {
		return http.StatusInternalServerError, err
	}
	out, err := os.CreateTemp(filepath.Dir(local), ".new-*")
	if err != nil {
		return http.StatusInternalServerError, err
	}
	defer os.Remove(out.Name())
	_, err = io.Copy(out, resp.Body)
	if e := out.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(out.Name(), local)
	}
	return http.StatusBadGateway, err
}
