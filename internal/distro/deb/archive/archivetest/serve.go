package archivetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Fault is something that goes wrong with the files whose path contains
// Path. Zero fields do nothing.
type Fault struct {
	Path   string
	Times  int           // how often; 0: always
	Status int           // answer with this status instead
	CutAt  int           // announce the whole length, but end the connection after so many bytes
	Flip   int           // turn a bit of the byte at this offset (counted from 1)
	Append string        // give this text in addition
	Body   string        // give this text instead
	Delay  time.Duration // before the answer
	Stall  bool          // send half, then nothing until the client leaves
	Rate   int           // bytes per second
}

// server serves an archive's folder with faults.
type server struct {
	mu     sync.Mutex
	faults []*Fault
	log    []string
}

// Serve publishes the archive, starts a web server for the test's duration,
// and returns the base address of the distribution; the security archive has
// the same with "-security" at the end.
func (a *Archive) Serve() string {
	a.t.Helper()
	a.Publish()
	a.server = &server{}
	s := httptest.NewServer(http.HandlerFunc(a.handle))
	a.t.Cleanup(s.Close)
	return s.URL + "/" + a.root("")
}

// FileURL publishes the archive and returns its base as a file: address.
func (a *Archive) FileURL() string {
	a.Publish()
	return "file://" + filepath.Join(a.Dir(), a.root(""))
}

// Break adds a fault; the first that matches a request is used.
func (a *Archive) Break(f Fault) {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.server.faults = append(a.server.faults, &f)
}

// Repair removes all faults.
func (a *Archive) Repair() {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.server.faults = nil
}

// Requests returns the paths asked for so far, and forgets them.
func (a *Archive) Requests() []string {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	log := a.server.log
	a.server.log = nil
	return log
}

// note logs a request and returns the fault that befalls it.
func (s *server) note(path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, path)
	for i, f := range s.faults {
		if !strings.Contains(path, f.Path) {
			continue
		}
		found := *f
		if f.Times == 1 {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
		}
		f.Times--
		return found
	}
	return Fault{}
}

func (a *Archive) handle(w http.ResponseWriter, r *http.Request) {
	f := a.server.note(r.URL.Path)
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
		}
	}
	if f.Status != 0 {
		http.Error(w, http.StatusText(f.Status), f.Status)
		return
	}
	path := filepath.Join(a.Dir(), filepath.Clean("/"+r.URL.Path))
	st, err := os.Stat(path)
	data, readErr := os.ReadFile(path)
	if err != nil || readErr != nil {
		http.NotFound(w, r)
		return
	}
	data = f.damage(data)
	w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(data)))
	out := &faulty{ResponseWriter: w, fault: f, request: r, half: len(data) / 2}
	http.ServeContent(out, r, "", st.ModTime(), bytes.NewReader(data))
}

func (f Fault) damage(data []byte) []byte {
	if f.Body != "" {
		data = []byte(f.Body)
	}
	if f.Flip > 0 && f.Flip <= len(data) {
		data[f.Flip-1] ^= 1
	}
	return append(data, f.Append...)
}

// faulty is a ResponseWriter that dies, stalls or dawdles.
type faulty struct {
	http.ResponseWriter
	fault   Fault
	request *http.Request
	sent    int
	half    int
}

// Write implements io.Writer.
func (w *faulty) Write(b []byte) (int, error) {
	switch {
	case w.fault.CutAt > 0 && w.sent+len(b) > w.fault.CutAt:
		w.send(b[:max(w.fault.CutAt-w.sent, 0)])
		panic(http.ErrAbortHandler)
	case w.fault.Stall:
		w.send(b[:min(w.half, len(b))])
		<-w.request.Context().Done()
		panic(http.ErrAbortHandler)
	case w.fault.Rate > 0:
		return w.dawdle(b)
	}
	return w.ResponseWriter.Write(b)
}

func (w *faulty) send(b []byte) {
	n, _ := w.ResponseWriter.Write(b)
	w.sent += n
	w.ResponseWriter.(http.Flusher).Flush()
}

// dawdle sends twenty pieces a second.
func (w *faulty) dawdle(b []byte) (int, error) {
	step := max(w.fault.Rate/20, 1)
	for at := 0; at < len(b); at += step {
		w.send(b[at:min(at+step, len(b))])
		select {
		case <-time.After(50 * time.Millisecond):
		case <-w.request.Context().Done():
			return at, w.request.Context().Err()
		}
	}
	return len(b), nil
}
