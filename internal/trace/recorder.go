package trace

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// recorder writes events as they end.
type recorder struct {
	mu      sync.Mutex
	w       io.Writer
	err     error // the first failed write; recording goes on for the summary
	count   int
	origin  time.Time
	lanes   map[uint64]*lane
	named   map[string]int
	busy    []bool // tracks in use, by number
	entries []Entry
	done    bool
}

// lane is the track of one goroutine while it is in a region.
type lane struct {
	track int
	depth int
}

// Entry is one ended region.
type Entry struct {
	Name string
	Took time.Duration
}

// event is one line of the file. Times are in microseconds.
type event struct {
	Name  string            `json:"name"`
	Phase string            `json:"ph"`
	Start float64           `json:"ts"`
	Took  *float64          `json:"dur,omitempty"`
	PID   int               `json:"pid"`
	Track int               `json:"tid"`
	Args  map[string]string `json:"args,omitempty"`
}

func newRecorder(w io.Writer) *recorder {
	r := &recorder{w: w, origin: time.Now(), lanes: map[uint64]*lane{}, named: map[string]int{}}
	r.raw([]byte("["))
	return r
}

func (r *recorder) begin(name string, id uint64) func() {
	start := time.Now()
	r.mu.Lock()
	l := r.lanes[id]
	if l == nil {
		l = &lane{track: r.freeTrack()}
		r.lanes[id] = l
	}
	l.depth++
	r.mu.Unlock()
	var once sync.Once
	return func() { once.Do(func() { r.end(name, id, l, start) }) }
}

func (r *recorder) end(name string, id uint64, l *lane, start time.Time) {
	took := time.Since(start)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complete(name, l.track, start, took)
	if l.depth--; l.depth == 0 {
		r.busy[l.track] = false
		delete(r.lanes, id)
	}
}

func (r *recorder) add(track, name string, start time.Time, took time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	number, ok := r.named[track]
	if !ok {
		number = firstNamed + len(r.named)
		r.named[track] = number
		r.write(event{Name: "thread_name", Phase: "M", PID: 1, Track: number, Args: map[string]string{"name": track}})
	}
	r.complete(name, number, start, took)
}

// firstNamed is above any number of goroutines' tracks.
const firstNamed = 1 << 16

func (r *recorder) freeTrack() int {
	for i, used := range r.busy {
		if !used {
			r.busy[i] = true
			return i
		}
	}
	r.busy = append(r.busy, true)
	return len(r.busy) - 1
}

func (r *recorder) complete(name string, track int, start time.Time, took time.Duration) {
	if r.done {
		return
	}
	us := float64(took.Nanoseconds()) / 1e3
	r.entries = append(r.entries, Entry{name, took})
	r.write(event{Name: name, Phase: "X", Start: float64(start.Sub(r.origin).Nanoseconds()) / 1e3, Took: &us, PID: 1, Track: track})
}

func (r *recorder) write(e event) {
	data, err := json.Marshal(e)
	if err != nil {
		r.fail(err)
		return
	}
	separator := ",\n"
	if r.count == 0 {
		separator = "\n"
	}
	r.count++
	r.raw(append([]byte(separator), data...))
}

// raw writes through at once, so that what is there survives a kill.
func (r *recorder) raw(data []byte) {
	if r.err == nil {
		_, err := r.w.Write(data)
		r.fail(err)
	}
}

func (r *recorder) fail(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("writing the trace: %w", err)
	}
}

// finish completes the array. Regions that are still open are left out.
func (r *recorder) finish() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.done {
		r.done = true
		r.raw([]byte("\n]\n"))
	}
	return r.err
}

// Slowest returns up to n of the regions recorded so far, the slowest first.
func Slowest(n int) []Entry {
	r := sink.Load()
	if r == nil {
		return nil
	}
	r.mu.Lock()
	list := slices.Clone(r.entries)
	r.mu.Unlock()
	slices.SortStableFunc(list, func(a, b Entry) int { return int(b.Took - a.Took) })
	return list[:min(n, len(list))]
}

// WriteSlowest writes the slowest regions as a table.
func WriteSlowest(w io.Writer, n int) error {
	for _, e := range Slowest(n) {
		if _, err := fmt.Fprintf(w, "%9.3fs  %s\n", e.Took.Seconds(), e.Name); err != nil {
			return err
		}
	}
	return nil
}
