package kit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// QEMUs is how many emulated machines tests run at once on one host, whatever
// the number of test programs: each takes a processor, and a slow one makes
// the others fail by their time-outs.
const QEMUs = 2

// LockQEMU waits until one more machine may run, and holds the place until the
// test ends. A test that starts several at once takes one place for all.
func LockQEMU(t testing.TB) {
	t.Helper()
	for {
		for i := range QEMUs {
			f, err := tryLock(filepath.Join(os.TempDir(), fmt.Sprintf("slipway-qemu-%d.lock", i)))
			if err != nil {
				t.Fatalf("taking a place for QEMU: %v", err)
			}
			if f != nil {
				t.Cleanup(func() { f.Close() })
				return
			}
		}
		select {
		case <-t.Context().Done():
			t.Fatal("no place for QEMU became free")
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tryLock gives nil without an error when somebody else has the lock. The file
// may be another user's: reading it is enough to lock it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644)
	if os.IsPermission(err) { // a sticky folder lets nobody create what is there already
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if err == unix.EWOULDBLOCK || err == unix.EINTR {
			return nil, nil
		}
		return nil, err
	}
	return f, nil
}
