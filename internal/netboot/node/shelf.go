package node

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// Shelf holds the files that orders name, by what their bytes are, and serves
// them. A file that is on it stays as it was: it is held open, so that who
// fetches it while another takes its place gets one of the two and never a
// mixture. The zero value is ready; it is safe for use by many at once.
type Shelf struct {
	// Prefix of the addresses; default a/, below the machine's own address.
	Prefix string

	mu    sync.Mutex
	files map[string]*shelved // by name: sha256-HEX of the list of pieces
	known map[string]*shelved // by path and stamp
}

type shelved struct {
	file     *os.File
	list     []byte
	artefact Artefact
}

func (s *Shelf) prefix() string {
	if s.Prefix == "" {
		return "a/"
	}
	return s.Prefix
}

// Add puts a file on the shelf, reading it once. The same file again costs
// nothing.
func (s *Shelf) Add(ctx context.Context, path, kind string) (*Artefact, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	stamp := fmt.Sprintf("%s %d %d", path, st.Size(), st.ModTime().UnixNano())
	s.mu.Lock()
	old := s.known[stamp]
	s.mu.Unlock()
	if old != nil {
		f.Close()
		return old.address(kind), nil
	}
	c, err := MakeChunks(ctx, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	list, digest, err := c.Encode()
	if err != nil {
		f.Close()
		return nil, err
	}
	name := "sha256-" + digest
	k := &shelved{file: f, list: list, artefact: Artefact{URL: s.prefix() + name, Chunks: s.prefix() + name + ".pieces", List: digest, Size: c.Size}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files, s.known = map[string]*shelved{}, map[string]*shelved{}
	}
	if same := s.files[name]; same != nil {
		f.Close()
		k = same
	}
	s.files[name], s.known[stamp] = k, k
	return k.address(kind), nil
}

func (k *shelved) address(kind string) *Artefact {
	a := k.artefact
	a.Kind = kind
	return &a
}

// shelfName is the name on the shelf of an artefact.
func shelfName(a *Artefact) string { return "sha256-" + a.List }

// pieces are those of an artefact on the shelf.
func (s *Shelf) pieces(a *Artefact) ([]Piece, error) {
	s.mu.Lock()
	k := s.files[shelfName(a)]
	s.mu.Unlock()
	if k == nil {
		return nil, fmt.Errorf("%s is not on the shelf", a.URL)
	}
	c, err := DecodeChunks(k.list, a.List)
	if err != nil {
		return nil, err
	}
	return c.Pieces, nil
}

// ServeHTTP implements http.Handler for the addresses with the Prefix.
func (s *Shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.serve(w, r, strings.TrimPrefix(r.URL.Path, s.prefix()))
}

// serve answers GET and HEAD, for the whole and for parts.
func (s *Shelf) serve(w http.ResponseWriter, r *http.Request, name string) {
	name, list := strings.CutSuffix(name, ".pieces")
	s.mu.Lock()
	k := s.files[name]
	s.mu.Unlock()
	switch {
	case k == nil:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "GET or HEAD", http.StatusMethodNotAllowed)
		return
	}
	if w.Header().Get("Cache-Control") == "" {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if list {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(k.list))
		return
	}
	f, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", k.file.Fd())) // a position of its own
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	http.ServeContent(w, r, "", time.Time{}, f)
}
