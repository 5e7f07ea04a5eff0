// Package trace records how long the steps of a run took, as a Chrome trace
// (load the file in a browser's chrome://tracing or in Perfetto) and as a
// list of the slowest steps.
//
// It is off until ToFile or To is called; Region then costs an atomic load.
// It is no profiler and no log: only named stretches of time are kept.
//
//	defer trace.Region("fetch")()
//
// Regions of one goroutine nest; those of different goroutines lie on tracks
// of their own. The format is the Trace Event Format's JSON array of complete
// events ("ph": "X"); a file cut off by a kill lacks only the closing bracket,
// which viewers accept.
package trace

import (
	"bytes"
	"io"
	"os"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"
)

// sink is where regions go; nil while tracing is off.
var sink atomic.Pointer[recorder]

func nothing() {}

// Region starts a named stretch of time and returns the function that ends it,
// to be called once and by the same goroutine.
func Region(name string) func() {
	r := sink.Load()
	if r == nil {
		return nothing
	}
	return r.begin(name, goroutine())
}

// Add records a stretch that was measured elsewhere (by another process, say)
// on a track with the given name.
func Add(track, name string, start time.Time, took time.Duration) {
	if r := sink.Load(); r != nil {
		r.add(track, name, start, took)
	}
}

// On tells whether anything is recorded.
func On() bool { return sink.Load() != nil }

// ToFile records everything from now on into a new file. The returned function
// ends the recording and completes the file.
func ToFile(path string) (stop func() error, err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	end := To(f)
	return func() error {
		err := end()
		if closing := f.Close(); err == nil {
			err = closing
		}
		return err
	}, nil
}

// To records everything from now on to w, in place of where it went before.
// The returned function ends the recording; calling it again does nothing.
func To(w io.Writer) (stop func() error) {
	r := newRecorder(w)
	sink.Store(r)
	return func() error {
		sink.CompareAndSwap(r, nil)
		return r.finish()
	}
}

// goroutine is the number of the calling goroutine, which the runtime tells
// only at the head of a stack dump ("goroutine 7 [running]:").
func goroutine() uint64 {
	var buf [64]byte
	head := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(head, []byte(" "))
	id, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0
	}
	return id
}
