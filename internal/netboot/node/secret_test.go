package node

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"slipway/internal/fleet"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/token"
)

// guarded is a world behind the real HTTP server and its tokens, with a root
// that holds secrets.
func guarded(t *testing.T, content string) (w *world, book *token.Book, later *atomic.Int64) {
	w, path := inRAM(t, content)
	image, err := w.shelf.Add(t.Context(), path, "squashfs")
	if err != nil {
		t.Fatal(err)
	}
	w.offer.Artefacts = func(string, json.RawMessage) (*Artefacts, error) { return &Artefacts{Image: image, Secret: true}, nil }
	if book, err = token.Open(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	later = new(atomic.Int64)
	now := func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	book.Now, book.Sink, w.handler.Now = now, w.handler.Sink, now
	w.handler.Client = ClientOf
	w.handler.Spend = func(r *http.Request, word, what string) (*token.Receipt, error) {
		call := boothttp.CallOf(r)
		return book.Spend(word, what, call.From, call.Identity)
	}
	broken := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.before == nil || !w.before(rw, r) {
			w.handler.ServeHTTP(rw, r)
		}
	})
	w.server = httptest.NewServer((&boothttp.Server{Node: broken, Tokens: book, Sink: w.handler.Sink}).Handler())
	t.Cleanup(w.server.Close)
	return w, book, later
}

// boots starts the machine with a token; it gives what it became, or why not.
func (w *world) boots(word string) string {
	w.t.Helper()
	p := w.program()
	srv, err := newServer(w.server.URL+"/n/"+word+"/", p.say)
	if err != nil {
		w.t.Fatal(err)
	}
	srv.pause = time.Millisecond
	p.srv, w.machine.got = srv, nil
	o, err := p.ask(w.t.Context(), "")
	if err == nil {
		err = p.obey(w.t.Context(), o)
	}
	if err != nil {
		return err.Error()
	}
	return strings.Join(w.machine.got, "; ")
}

func (w *world) refusals() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if e.Kind == fleet.KindHTTPRefused {
			n++
		}
	}
	return n
}

// A stick gets its root with secrets at each start, until it is revoked.
func TestStickRoot(t *testing.T) {
	w, book, later := guarded(t, "a root with a password")
	s, word, err := book.MintStick(t.Context(), "node")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if got := w.boots(word); got != "ram root.squashfs" {
			t.Fatalf("it became %q", got)
		}
		later.Add(int64(400 * 24 * time.Hour))
	}
	if err := book.RevokeStick(t.Context(), s.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.boots(word); !strings.Contains(got, "the server refuses this machine") || w.refusals() == 0 {
		t.Errorf("a revoked one became %q, %d refusals are shown", got, w.refusals())
	}
}

// A root with secrets goes to the machine that it is for, once; whoever comes
// second, late, or with another token gets 403, and that is shown.
func TestSecretRoot(t *testing.T) {
	text := strings.Repeat("a root with a password ", 1<<19)
	w, book, later := guarded(t, text)
	claim := token.Claim{Client: "52:54:00:00:00:01", Machine: "node", Address: netip.MustParseAddr("127.0.0.1")}
	mine, other := book.Mint(claim), book.Mint(token.Claim{Client: "52:54:00:00:00:02", Machine: "other"})
	var breaks atomic.Int64
	w.before = func(rw http.ResponseWriter, r *http.Request) bool { // every third transfer breaks in the middle
		if !strings.Contains(r.URL.Path, "/a/") || breaks.Add(1)%3 != 0 {
			return false
		}
		w.handler.ServeHTTP(&cut{ResponseWriter: rw, left: 100 << 10}, r)
		panic(http.ErrAbortHandler)
	}
	if got := w.boots(mine); got != "ram root.squashfs" || string(read(t, filepath.Join(w.machine.dir, "memory/root.squashfs"))) != text {
		t.Fatalf("it became %q", got)
	}
	w.before = nil
	fetch := func(word string) int {
		t.Helper()
		a, _ := w.offer.Artefacts("v1", nil)
		status := 0
		for _, file := range []string{a.Image.URL, a.Image.Chunks} {
			resp, err := http.Get(w.server.URL + "/n/" + word + "/" + file)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if status != 0 && status != resp.StatusCode {
				t.Errorf("the file answers %d, the list of its pieces %d", status, resp.StatusCode)
			}
			status = resp.StatusCode
		}
		return status
	}
	if got := fetch(other); got != http.StatusForbidden || w.refusals() != 2 || !w.heard("no order told this machine") {
		t.Errorf("another machine gets %d, %d refusals are shown", got, w.refusals())
	}
	later.Store(int64(time.Minute))
	if got := fetch(mine); got != http.StatusForbidden || w.refusals() != 4 || !w.heard("only once") {
		t.Errorf("the second time it gets %d, %d refusals are shown", got, w.refusals())
	}
	if got := w.boots(mine); !strings.Contains(got, "the server refuses this machine") {
		t.Errorf("with a token that was used it became %q", got)
	}
	if got := w.boots(book.Mint(claim)); got != "ram root.squashfs" {
		t.Errorf("at its next start it became %q", got)
	}
	late := book.Mint(claim)
	later.Store(int64(3 * time.Hour))
	if got := w.boots(late); !strings.Contains(got, "the server refuses this machine") || !w.heard("too old") {
		t.Errorf("too late it became %q", got)
	}
}
