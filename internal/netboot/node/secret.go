package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"slipway/internal/netboot/token"
)

// secrets are the files that hold secrets, and who may fetch them: a machine
// that an order told of the file, with the token that it asked with, once. A
// file is fetched in pieces, and any of them may be fetched again until all
// were sent.
type secrets struct {
	mu    sync.Mutex
	files map[string]bool    // names on the shelf
	told  map[string]*giving // by token and name
}

// giving is one file on its way to one machine.
type giving struct {
	left    map[int64]bool // ends of the pieces that were not sent yet
	receipt *token.Receipt // taken with the first byte
	over    time.Time      // when it has all
}

const (
	// repeat is how long a machine that has all may repeat a piece whose line broke.
	repeat = 10 * time.Second
	// maxTold bounds the memory that machines take which ask and never fetch.
	maxTold = 1 << 14
)

// everything is the end of a file that was sent in one.
const everything = -1

var errNotTold = errors.New("the file holds secrets, and no order told this machine of it")

func (s *secrets) key(word, name string) string { return strings.ToLower(word) + " " + name }

// tell lets a token fetch what an order names. One that may do so again and
// again (a stick's) begins anew.
func (s *secrets) tell(word, name string, pieces []Piece, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files == nil {
		s.files, s.told = map[string]bool{}, map[string]*giving{}
	}
	s.files[name] = true
	if len(s.told) >= maxTold {
		for _, g := range s.told { // who was on its way asks again
			if g.receipt != nil {
				g.receipt.Returned()
			}
		}
		clear(s.told)
	}
	key := s.key(word, name)
	if old := s.told[key]; old != nil && old.receipt != nil && !again { // it asks again in the middle
		return
	}
	g := &giving{left: map[int64]bool{}}
	for _, p := range pieces {
		g.left[p.At+p.N] = true
	}
	s.told[key] = g
}

// find gives the file on its way, after its first byte was allowed by spend;
// nil: the file holds no secrets.
func (s *secrets) find(word, name string, now time.Time, spend func() (*token.Receipt, error)) (*giving, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.files[name] {
		return nil, nil
	}
	g := s.told[s.key(word, name)]
	switch {
	case g == nil:
		return nil, errNotTold
	case !g.over.IsZero() && now.After(g.over.Add(repeat)):
		return nil, token.ErrSpent
	case g.receipt == nil:
		r, err := spend()
		if err != nil {
			return nil, err
		}
		g.receipt = r
	}
	return g, nil
}

// sent takes a piece off the list that was sent up to its end: where the line
// broke, a machine goes on. The last one makes the token's right end, which is
// kept.
func (s *secrets) sent(ctx context.Context, g *giving, end int64, now time.Time) error {
	s.mu.Lock()
	delete(g.left, end)
	if end == everything {
		clear(g.left)
	}
	last := len(g.left) == 0 && g.over.IsZero()
	if last {
		g.over = now
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	return g.receipt.Given(ctx)
}

// counted counts what is sent of an answer.
type counted struct {
	http.ResponseWriter
	n int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n += int64(n)
	return n, err
}

// file serves a file of the shelf.
func (h *Handler) file(w http.ResponseWriter, r *http.Request, c Client, file string) error {
	name, list := strings.CutSuffix(file, ".pieces")
	g, err := h.secrets.find(c.token, name, h.now(), func() (*token.Receipt, error) { return h.Spend(r, c.token, name) })
	if err != nil {
		return err
	}
	if g == nil || list {
		h.Shelf.serve(w, r, file)
		return nil
	}
	w.Header().Set("Cache-Control", "no-store")
	out := &counted{ResponseWriter: w}
	h.Shelf.serve(out, r, file)
	if r.Header.Get("Range") == "" && r.Method == http.MethodGet {
		err = h.secrets.sent(r.Context(), g, everything, h.now())
		if err != nil {
			h.record(c, problem(err))
		}
		return nil
	}
	var first, last int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil || out.n != last-first+1 {
		return nil
	}
	if err := h.secrets.sent(r.Context(), g, last+1, h.now()); err != nil {
		h.record(c, problem(err))
	}
	return nil
}
