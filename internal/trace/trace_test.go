package trace

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func decode(t *testing.T, data []byte) []event {
	t.Helper()
	var events []event
	if err := json.Unmarshal(data, &events); err != nil {
		t.Fatalf("decoding %q: %v", data, err)
	}
	return events
}

func TestNestedAndParallel(t *testing.T) {
	var out bytes.Buffer
	stop := To(&out)
	end := Region("outer")
	inner := Region("inner")
	var both sync.WaitGroup
	both.Go(func() { defer Region("beside")(); time.Sleep(5 * time.Millisecond) })
	both.Wait()
	inner()
	inner() // a second call does nothing
	end()
	Add("scripts", "postinst", time.Now(), time.Second)
	slowest := Slowest(1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	byName := map[string]event{}
	for _, e := range decode(t, out.Bytes()) {
		byName[e.Name] = e
	}
	outer, in, beside := byName["outer"], byName["inner"], byName["beside"]
	if outer.Track != in.Track || outer.Track == beside.Track {
		t.Errorf("tracks: outer %d, inner %d, beside %d", outer.Track, in.Track, beside.Track)
	}
	if in.Start < outer.Start || in.Start+*in.Took > outer.Start+*outer.Took {
		t.Error("the inner region is not within the outer one")
	}
	if byName["thread_name"].Args["name"] != "scripts" || byName["postinst"].Track == outer.Track {
		t.Error("an added stretch lacks a named track of its own")
	}
	if len(slowest) != 1 || slowest[0].Name != "postinst" {
		t.Errorf("slowest is %v, want postinst", slowest)
	}
}

func TestInterruptedFileLacksOnlyTheBracket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.json")
	stop, err := ToFile(path)
	if err != nil {
		t.Fatal(err)
	}
	Region("a")()
	cut, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := decode(t, append(cut, ']')); len(got) != 1 {
		t.Errorf("got %d events before the end, want 1", len(got))
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	whole, _ := os.ReadFile(path)
	decode(t, whole)
}

func TestEmptyIsValid(t *testing.T) {
	var out bytes.Buffer
	if err := To(&out)(); err != nil {
		t.Fatal(err)
	}
	if got := decode(t, out.Bytes()); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestOffCostsNothing(t *testing.T) {
	if On() {
		t.Fatal("tracing is on without being asked for")
	}
	if n := testing.AllocsPerRun(100, func() { Region("x")() }); n != 0 {
		t.Errorf("a region allocates %v times while tracing is off", n)
	}
}

func TestWriteSlowest(t *testing.T) {
	var out, table bytes.Buffer
	stop := To(&out)
	defer stop()
	Add("t", "slow", time.Now(), 1500*time.Millisecond)
	Add("t", "fast", time.Now(), time.Millisecond)
	if err := WriteSlowest(&table, 10); err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(table.String()); strings.Join(got, " ") != "1.500s slow 0.001s fast" {
		t.Errorf("got %q", got)
	}
}
