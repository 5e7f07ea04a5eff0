package progress

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// clock is a time that moves only when told.
type clock struct{ t time.Time }

func (c *clock) now() time.Time          { return c.t }
func (c *clock) advance(d time.Duration) { c.t = c.t.Add(d) }

func fixed() *clock { return &clock{time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)} }

// still is a reporter whose own ticker has been stopped, so that a test ticks.
func still(w *bytes.Buffer, mode Mode, tty bool, c *clock) *Reporter {
	r := newReporter(w, mode, tty, c.now)
	r.stop = make(chan struct{})
	return r
}

func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	c := fixed()
	r := still(&out, Plain, false, c)
	s := r.Step("fetch")
	s.Total(4e6)
	s.Add(1e6)
	s.Note("nginx")
	for range 52 {
		c.advance(100 * time.Millisecond)
		r.tick()
	}
	s.Add(3e6)
	s.Done(nil)
	s.Done(errors.New("late"))
	r.Step("configure").Done(errors.New("boom"))
	r.Note("take note")
	r.Log("script output")
	r.Close()
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(got) != 4 {
		t.Fatalf("got %q, want four lines", got)
	}
	if !strings.HasPrefix(got[0], "fetch: still running after 5.0s, 1.0 MB of 4.0 MB, ") || !strings.HasSuffix(got[0], ", nginx") {
		t.Errorf("got %q", got[0])
	}
	for i, want := range []string{"fetch: 5.2s, 4.0 MB", "configure: 0.0s, failed", "take note"} {
		if got[i+1] != want {
			t.Errorf("line %d: got %q, want %q", i+1, got[i+1], want)
		}
	}
}

func TestVerboseShowsLogs(t *testing.T) {
	var out bytes.Buffer
	r := still(&out, Verbose, false, fixed())
	s := r.Step("configure")
	s.Note("nginx")
	r.Log("Setting up nginx")
	s.Done(nil)
	if want := "configure ...\nconfigure: nginx\nSetting up nginx\nconfigure: 0.0s\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestEvents(t *testing.T) {
	var out bytes.Buffer
	c := fixed()
	r := still(&out, JSON, true, c)
	s := r.Step("fetch")
	s.Total(10)
	s.Add(5)
	c.advance(time.Second)
	r.tick()
	s.Done(errors.New("gone"))
	r.Note("n")
	want := `{"time":"2030-01-02T03:04:05Z","event":"start","step":"fetch"}
{"time":"2030-01-02T03:04:06Z","event":"progress","step":"fetch","bytes":5,"total":10,"seconds":1}
{"time":"2030-01-02T03:04:06Z","event":"failed","step":"fetch","bytes":5,"total":10,"seconds":1,"error":"gone"}
{"time":"2030-01-02T03:04:06Z","event":"note","text":"n"}
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("%q is no JSON", line)
		}
	}
}

func TestQuietAndNil(t *testing.T) {
	var out bytes.Buffer
	for _, r := range []*Reporter{nil, New(&out, Quiet, true)} {
		s := r.Step("x")
		s.Total(1)
		s.Add(1)
		s.Note("y")
		s.Done(nil)
		r.Note("z")
		r.Log("z")
		r.Close()
		r.Close()
	}
	if out.Len() != 0 {
		t.Errorf("got %q, want silence", out.String())
	}
}

// screen interprets the few sequences that bars use.
func screen(data string) []string {
	rows, row, col := [][]rune{nil}, 0, 0
	for i := 0; i < len(data); {
		switch {
		case data[i] == '\n':
			col = 0 // as a terminal's driver does
			if row++; row == len(rows) {
				rows = append(rows, nil)
			}
			i++
		case data[i] == '\r':
			col = 0
			i++
		case strings.HasPrefix(data[i:], "\x1b[K"):
			rows[row] = rows[row][:min(col, len(rows[row]))]
			i += 3
		case strings.HasPrefix(data[i:], "\x1b[J"):
			rows[row] = rows[row][:min(col, len(rows[row]))]
			rows = rows[:row+1]
			i += 3
		case data[i] == '\x1b':
			var n int
			fmt.Sscanf(data[i:], "\x1b[%dA", &n)
			row -= n
			i += strings.IndexByte(data[i:], 'A') + 1
		default:
			c, n := utf8.DecodeRuneInString(data[i:])
			for len(rows[row]) <= col {
				rows[row] = append(rows[row], ' ')
			}
			rows[row][col] = c
			col++
			i += n
		}
	}
	var text []string
	for _, r := range rows {
		text = append(text, string(r))
	}
	return text
}

func TestBarsOnATerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	var out bytes.Buffer
	c := fixed()
	r := still(&out, Plain, true, c)
	a, b := r.Step("fetch"), r.Step(strings.Repeat("long ", 40))
	a.Total(100)
	a.Add(50)
	c.advance(time.Second)
	r.tick()
	r.tick()
	got := screen(out.String())
	if len(got) != 2 || !strings.HasPrefix(got[0], "fetch [========        ]  50%  50 B of 100 B, 50 B/s, 1.0s left") {
		t.Errorf("got %q", got)
	}
	if n := utf8.RuneCountInString(got[1]); n >= 80 {
		t.Errorf("a line of %d characters wraps", n)
	}
	b.Done(nil)
	r.Note("between")
	r.tick()
	a.Done(errors.New("x"))
	r.Close()
	got = screen(out.String())
	if len(got) != 4 || got[1] != "between" || got[2] != "✗ fetch: 1.0s, 50 B, failed" || got[3] != "" {
		t.Errorf("after the end the screen is %q", got)
	}
}

func TestConcurrent(t *testing.T) {
	var out bytes.Buffer
	r := New(&out, Plain, true)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			s := r.Step(fmt.Sprint("step ", i))
			s.Total(100)
			for range 100 {
				s.Add(1)
			}
			s.Done(nil)
		})
	}
	all.Wait()
	r.Close()
	if n := strings.Count(out.String(), "step "); n < 8 {
		t.Errorf("got %d ended steps, want 8", n)
	}
}

func TestFormats(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 99_600: "100 kB", 999_600: "1.0 MB", 2_500_000_000: "2.5 GB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1.5s", 42 * time.Second: "42s", 125 * time.Second: "2m05s", 3720 * time.Second: "1h02m"} {
		if got := span(d); got != want {
			t.Errorf("span(%s) = %q, want %q", d, got, want)
		}
	}
}
