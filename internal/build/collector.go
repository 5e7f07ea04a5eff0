package build

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
)

// quietHeap is how large the heap may grow before garbage is first collected.
// A small build ends below it.
const quietHeap = 64 << 20

// DelayCollector keeps the garbage collector from running until the heap is
// large enough for that to save something: in a build of a few tenths of a
// second it would take a fifth of the time. From then on it runs as before.
func DelayCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	before := debug.SetGCPercent(-1)
	debug.SetMemoryLimit(quietHeap)
	runtime.SetFinalizer(&struct{ _ [16]byte }{}, func(any) {
		debug.SetMemoryLimit(math.MaxInt64)
		debug.SetGCPercent(before)
	})
}

// freeIndexes gives back the memory of package indexes, which are needed no
// more once packages are chosen; nothing else is as large. Small ones are not
// worth the time.
func freeIndexes() {
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.HeapAlloc > quietHeap/2 {
		debug.FreeOSMemory()
	}
}
