package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var sampleData = bytes.Repeat([]byte("slipway "), 40_000) // 320 kB

// one is an Item for sampleData at these addresses.
func one(t *testing.T, urls ...string) Item {
	return Item{Name: "sample", URLs: urls, Size: int64(len(sampleData)), SHA256: digestOf(sampleData), Dest: filepath.Join(t.TempDir(), "sample")}
}

func check(t *testing.T, it Item) {
	t.Helper()
	got, err := os.ReadFile(it.Dest)
	if err != nil || !bytes.Equal(got, sampleData) {
		t.Errorf("got %d bytes, %v; want %d", len(got), err, len(sampleData))
	}
	if _, err := os.Stat(partOf(it)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the part file is left behind (%v)", err)
	}
}

func partOf(it Item) string { return filepath.Join(filepath.Dir(it.Dest), it.digest()+".part") }

// dies serves the rest of the data, but drops the connection after n bytes.
func dies(n int, seen *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		cut := &cutter{ResponseWriter: w, left: n}
		http.ServeContent(cut, r, "", time.Time{}, bytes.NewReader(sampleData))
	}
}

type cutter struct {
	http.ResponseWriter
	left int
}

func (c *cutter) Write(b []byte) (int, error) {
	if len(b) > c.left {
		c.ResponseWriter.Write(b[:c.left])
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	c.left -= len(b)
	return c.ResponseWriter.Write(b)
}

func TestResumeWithinRun(t *testing.T) {
	var requests atomic.Int64
	url := serve(t, dies(70_000, &requests))
	it := one(t, url)
	f := quick()
	f.Tries = 2 // progress must not count as failure
	if err := f.Fetch(context.Background(), []Item{it}); err != nil {
		t.Fatal(err)
	}
	check(t, it)
	if n := requests.Load(); n != 5 {
		t.Errorf("got %d requests, want 5 of 70 kB", n)
	}
}

func TestResumeAcrossRuns(t *testing.T) {
	for name, c := range map[string]struct {
		left  []byte // in the part file at the start
		bytes int64  // that come over the network
	}{
		"half":       {sampleData[:160_000], 160_000},
		"all":        {sampleData, 0},
		"wrong half": {bytes.Repeat([]byte("x"), 160_000), 160_000 + 320_000},
		"wrong all":  {bytes.Repeat([]byte("x"), 320_000), 320_000},
		"too long":   {bytes.Repeat([]byte("x"), 320_001), 320_000},
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			url := serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.ServeContent(&counter{w, &sent}, r, "", time.Time{}, bytes.NewReader(sampleData))
			})
			it := one(t, url)
			if err := os.WriteFile(partOf(it), c.left, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := quick().Fetch(context.Background(), []Item{it}); err != nil {
				t.Fatal(err)
			}
			check(t, it)
			if sent.Load() != c.bytes {
				t.Errorf("%d bytes came over the network, want %d", sent.Load(), c.bytes)
			}
		})
	}
}

type counter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c *counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return c.ResponseWriter.Write(b)
}

func TestServerWithoutRanges(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { w.Write(sampleData) })
	it := one(t, url)
	if err := os.WriteFile(partOf(it), sampleData[:1000], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := quick().Fetch(context.Background(), []Item{it}); err != nil {
		t.Fatal(err)
	}
	check(t, it)
}

func TestFallOver(t *testing.T) {
	good := serve(t, content(sampleData))
	bad := map[string]string{
		"missing":   serve(t, http.NotFound),
		"broken":    serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }),
		"wrong":     serve(t, content(bytes.Repeat([]byte("y"), len(sampleData)))),
		"long":      serve(t, content(append(bytes.Clone(sampleData), 'x'))),
		"endless":   serve(t, func(w http.ResponseWriter, r *http.Request) { endless(w, r) }),
		"silent":    serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
		"stalling":  serve(t, stalling),
		"refused":   "http://127.0.0.1:1/x",
		"no scheme": "gopher://x/y",
	}
	for name, url := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			it := one(t, url, good)
			f := quick()
			f.Stall = 200 * time.Millisecond
			if err := f.Fetch(context.Background(), []Item{it}); err != nil {
				t.Fatal(err)
			}
			check(t, it)
		})
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	for r.Context().Err() == nil {
		if _, err := w.Write(sampleData); err != nil {
			return
		}
	}
}

func stalling(w http.ResponseWriter, r *http.Request) {
	w.Write(sampleData[:1000])
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func TestErrors(t *testing.T) {
	cases := map[string]struct {
		handler http.HandlerFunc
		texts   []string
		tries   int64 // requests made
		found   bool  // !NotFound
		silent  bool  // Unreachable
	}{
		"404":   {http.NotFound, []string{"404", "slipway update"}, 1, false, false},
		"401":   {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }, []string{"401", "auth.conf"}, 1, true, false},
		"503":   {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, []string{"503", "3 tries"}, 3, true, true},
		"wrong": {content(bytes.Repeat([]byte("y"), len(sampleData))), []string{"digest", "another mirror"}, 1, true, false},
		"long":  {content(append(bytes.Clone(sampleData), 'x')), []string{"320001 bytes", "320000"}, 1, true, false},
		"short": {content(sampleData[:10]), []string{"10 bytes", "320000"}, 1, true, false},
		"stall": {stalling, []string{"no data for"}, 3, true, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var requests atomic.Int64
			url := serve(t, func(w http.ResponseWriter, r *http.Request) { requests.Add(1); c.handler(w, r) })
			it := one(t, strings.Replace(url, "http://", "http://user:secret@", 1)+"/p?token=secret")
			f := quick()
			f.Stall, f.Tries = 100*time.Millisecond, 3
			err := f.Fetch(context.Background(), []Item{it})
			if err == nil {
				t.Fatal("no error")
			}
			for _, text := range append(c.texts, url+"/p", "sample") {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q is not in: %v", text, err)
				}
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("tells a secret: %v", err)
			}
			if NotFound(err) == c.found || Unreachable(err) != c.silent || requests.Load() != c.tries {
				t.Errorf("NotFound %v, Unreachable %v, %d requests: %v", NotFound(err), Unreachable(err), requests.Load(), err)
			}
			if _, err := os.Stat(it.Dest); !errors.Is(err, fs.ErrNotExist) {
				t.Error("a wrong file got its name")
			}
		})
	}
}

func TestNoDigest(t *testing.T) {
	it := one(t, "http://127.0.0.1:1/")
	it.SHA256 = ""
	if err := quick().Fetch(context.Background(), []Item{it}); err == nil || !strings.Contains(err.Error(), "digest") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownHost(t *testing.T) {
	it := one(t, "http://nosuch.invalid/x")
	f := quick()
	f.Tries = 1
	err := f.Fetch(context.Background(), []Item{it})
	if !Unreachable(err) || NotFound(err) || !strings.Contains(err.Error(), "nosuch.invalid") {
		t.Errorf("got %v", err)
	}
}

func TestOffline(t *testing.T) {
	f := quick()
	f.Offline = true
	err := f.Fetch(context.Background(), []Item{one(t, "http://127.0.0.1:1/")})
	if err == nil || !strings.Contains(err.Error(), "run it once with the network") {
		t.Errorf("got %v", err)
	}
}

func TestFileAddress(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b")
	if err := os.WriteFile(path, sampleData, 0o644); err != nil {
		t.Fatal(err)
	}
	it := one(t, "file:///nonexistent", "file://"+path)
	if err := os.WriteFile(partOf(it), sampleData[:1000], 0o644); err != nil {
		t.Fatal(err)
	}
	f := quick()
	f.Offline = true
	if err := f.Fetch(context.Background(), []Item{it}); err != nil {
		t.Fatal(err)
	}
	check(t, it)
	if err := f.Fetch(context.Background(), []Item{one(t, "file://"+t.TempDir())}); err == nil {
		t.Error("a folder: no error")
	}
}

func TestPresent(t *testing.T) {
	it := one(t, "http://127.0.0.1:1/")
	if err := os.WriteFile(it.Dest, sampleData, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := quick().Fetch(context.Background(), []Item{it}); err != nil {
		t.Errorf("it is there: %v", err)
	}
	it.URLs = []string{serve(t, content(sampleData))}
	if err := os.WriteFile(it.Dest, bytes.Repeat([]byte("z"), len(sampleData)), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := quick().Fetch(context.Background(), []Item{it}); err != nil {
		t.Errorf("a wrong one is there: %v", err)
	}
	check(t, it)
}

// TestSameFile lets eight Fetchers want one file: it comes once.
func TestSameFile(t *testing.T) {
	var sent atomic.Int64
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(20 * time.Millisecond)
		http.ServeContent(&counter{w, &sent}, r, "", time.Time{}, bytes.NewReader(sampleData))
	})
	it := one(t, url)
	done := make(chan error)
	for range 8 {
		go func() { done <- quick().Fetch(context.Background(), []Item{it}) }()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	check(t, it)
	if sent.Load() != int64(len(sampleData)) {
		t.Errorf("%d bytes came for a file of %d", sent.Load(), len(sampleData))
	}
}

func TestCancelKeepsPart(t *testing.T) {
	url := serve(t, stalling)
	it := one(t, url)
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if err := quick().Fetch(ctx, []Item{it}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if st, err := os.Stat(partOf(it)); err != nil || st.Size() != 1000 {
		t.Errorf("the part is not kept: %v", err)
	}
}

func TestProgress(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bad" {
			w.WriteHeader(404)
			return
		}
		content(sampleData)(w, r)
	})
	var events []Event
	f := quick()
	f.Parallel = 1
	f.Progress = func(e Event) { events = append(events, e) }
	var verified []int
	f.Verified = func(i int) error { verified = append(verified, i); return nil }
	bad := one(t, url+"/bad")
	bad.SHA256 = strings.Repeat("0", 64)
	if err := f.Fetch(context.Background(), []Item{one(t, url), bad}); err == nil {
		t.Error("no error")
	}
	last := events[len(events)-1]
	if last.Kind != Failed || last.Err == nil || last.Of != 2 || last.Items != 1 || last.Bytes != 320_000 || last.Total != 640_000 {
		t.Errorf("got %+v", last)
	}
	if fmt.Sprint(verified) != "[0]" {
		t.Errorf("verified %v", verified)
	}
	if (Event{Rate: 100, Bytes: 50, Total: 250}).Left() != 2*time.Second {
		t.Error("Left is wrong")
	}
}

func TestVerifiedStops(t *testing.T) {
	f := quick()
	stop := errors.New("enough")
	f.Verified = func(int) error { return stop }
	if err := f.Fetch(context.Background(), []Item{one(t, serve(t, content(sampleData)))}); !errors.Is(err, stop) {
		t.Errorf("got %v", err)
	}
}

func TestGet(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		content([]byte("text"))(w, r)
	})
	f := quick()
	d, err := f.Get(context.Background(), "it", []string{url}, 4, Condition{})
	if err != nil || string(d.Body) != "text" || d.ETag != `"1"` {
		t.Fatalf("got %+v, %v", d, err)
	}
	if d, err = f.Get(context.Background(), "it", []string{url}, 4, d.Condition); err != nil || !d.Unchanged {
		t.Errorf("again: got %+v, %v", d, err)
	}
	if _, err = f.Get(context.Background(), "it", []string{url}, 3, Condition{}); err == nil || !strings.Contains(err.Error(), "longer than 3") {
		t.Errorf("too long: got %v", err)
	}
}
