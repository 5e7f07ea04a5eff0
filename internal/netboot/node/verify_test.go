package node

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/fleet"
)

// refusal is one way in which what a machine gets is not what its server
// signed.
type refusal struct {
	cause, says string
	spoil       func(*world)
}

// onTheWay changes a bit of what is fetched, where the path has the words.
func onTheWay(words string) func(*world) {
	return func(w *world) {
		w.before = func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/a/") || strings.HasSuffix(r.URL.Path, ".pieces") != (words == ".pieces") {
				return false
			}
			w.handler.ServeHTTP(&flip{ResponseWriter: rw}, r)
			return true
		}
	}
}

var refusals = map[string]refusal{
	"another key": {"key", "is not signed with the key", func(w *world) { _, w.handler.Key, _ = ed25519.GenerateKey(nil) }},
	"a bit of the order": {"key", "is not signed with the key", func(w *world) {
		w.before = func(rw http.ResponseWriter, r *http.Request) bool {
			if !strings.HasSuffix(r.URL.Path, "/order") {
				return false
			}
			w.handler.ServeHTTP(&inside64{ResponseWriter: rw}, r)
			return true
		}
	}},
	"a bit of a file":  {"corrupt", "not those that were signed", onTheWay("")},
	"the list of them": {"corrupt", "not the one that was signed", onTheWay(".pieces")},
}

// inside64 changes a letter of the order, which stays JSON.
type inside64 struct{ http.ResponseWriter }

func (f *inside64) Write(b []byte) (int, error) {
	return f.ResponseWriter.Write([]byte(strings.Replace(string(b), `"order":"e`, `"order":"f`, 1)))
}

// TestNothingUnsignedIsUsed: in each form in which our own init fetches, what is
// not signed with the key of its initramfs is refused, on the screen and to the
// server, and no disk is written or system started.
func TestNothingUnsignedIsUsed(t *testing.T) {
	forms := map[string]func(t *testing.T) *world{
		"root of the small form": func(t *testing.T) *world { w, _ := inRAM(t, strings.Repeat("a root ", 1<<16)); return w },
		"kernel and initrd of a stick": func(t *testing.T) *world {
			w, _ := inRAM(t, strings.Repeat("a kernel ", 1<<16))
			w.offer.Kexec = true
			return w
		},
		"disk image": func(t *testing.T) *world { w, _, _, _ := installing(t); return w },
	}
	for form, make := range forms {
		for what, r := range refusals {
			t.Run(form+": "+what, func(t *testing.T) {
				t.Parallel()
				w := make(t)
				r.spoil(w)
				screen := w.refuses()
				if !strings.Contains(screen, r.says) {
					t.Errorf("the screen does not say %q:\n%s", r.says, screen)
				}
				if !w.heard(r.says) {
					t.Errorf("the server does not hear %q", r.says)
				}
				w.mu.Lock()
				why := fleet.Why("node", w.events, time.Now())
				w.mu.Unlock()
				if why.Cause != r.cause {
					t.Errorf("the cause is %q, want %q", why.Cause, r.cause)
				}
				if len(w.machine.got) > 0 {
					t.Errorf("it became %q", w.machine.got)
				}
			})
		}
	}
}

// refuses starts a machine until it has told the server of its problem, and
// gives what its screen showed.
func (w *world) refuses() string {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	var mu sync.Mutex
	var screen strings.Builder
	p := w.program()
	p.rest = time.Minute
	p.say = func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(&screen, format+"\n", args...)
	}
	p.srv.say = p.say
	done := make(chan error, 1)
	go func() { done <- p.run(ctx) }()
	for ctx.Err() == nil && !w.heard(fleet.KindNodeProblem) && !w.heard(fleet.KindInstallFail) {
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	<-done
	mu.Lock()
	defer mu.Unlock()
	return screen.String()
}
