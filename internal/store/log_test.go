package store

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
)

func TestLog(t *testing.T) {
	s := open(t)
	if r, err := s.ReadLog(); len(r) != 0 || err != nil {
		t.Errorf("no log yet: %v, %v", r, err)
	}
	s.Log("machine/web", map[string]any{"state": "up", "text": "a\nb"})
	f, _ := os.OpenFile(s.path("state.log"), os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`2026-01-02T03:04:05Z machine/web {"state": "do`) // torn by a kill
	f.Close()
	if r, _ := s.ReadLog(); len(r) != 1 {
		t.Errorf("torn last line: got %d records, want 1", len(r))
	}
	if err := s.Log("machine/web", map[string]string{"state": "down"}); err != nil {
		t.Fatal(err)
	}
	r, err := s.ReadLog()
	if err != nil || len(r) != 2 || string(r[1].Fields) != `{"state":"down"}` || r[1].Prefix != "machine/web" || r[1].Time.IsZero() {
		t.Errorf("got %q, %v", r, err)
	}
	for _, p := range []string{"", "a b", "a\nb"} {
		if s.Log(p, nil) == nil {
			t.Errorf("prefix %q was taken", p)
		}
	}
	if s.Log("x", make(chan int)) == nil {
		t.Error("what is no JSON was taken")
	}
}

// Many writers, and a rotation among them: the newest state of every prefix
// stays in the current file, and no line is broken.
func TestLogRotation(t *testing.T) {
	s := open(t)
	s.Log("once", "kept")
	pad := strings.Repeat("x", 32<<10)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 20 {
				if err := s.Log(fmt.Sprintf("w/%d", w), []any{i, pad}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, err := os.Stat(s.path("state.log.1")); err != nil {
		t.Fatal("never rotated: ", err)
	}
	b, _ := os.ReadFile(s.path("state.log"))
	r, err := s.ReadLog()
	if err != nil || len(r) != strings.Count(string(b), "\n") {
		t.Fatalf("%d of %d lines are whole, %v", len(r), strings.Count(string(b), "\n"), err)
	}
	newest := map[string]string{}
	for _, x := range r {
		newest[x.Prefix] = string(x.Fields[:min(4, len(x.Fields))])
	}
	if len(b) > maxLog || newest["once"] != `"kep` {
		t.Errorf("%d bytes; the newest states are %v", len(b), newest)
	}
	for w := range 4 {
		if got := newest[fmt.Sprintf("w/%d", w)]; got != "[19," {
			t.Errorf("newest state of w/%d: got %q", w, got)
		}
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add("2026-01-02T03:04:05.6Z a/b {\"x\":1}\n")
	f.Add("\n \n  \n2026 a b\n")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := parseLog(strings.NewReader(text))
		if err != nil || len(r) > strings.Count(text, "\n") {
			t.Errorf("%d records, %v", len(r), err)
		}
	})
}
