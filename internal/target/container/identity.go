package container

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// asCaller runs f with the file system identity id, which stands for the
// caller of slipway in a user's lab. Root of the lab may write the caller's
// files, but not where their group is somebody else's, as in delegated
// cgroups. An id of 0 changes nothing.
func asCaller(id int, f func() error) error {
	if id == 0 {
		return f()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the identity ends with the thread
		if _, err := unix.SetfsgidRetGid(id); err != nil {
			result <- err
			return
		}
		if _, err := unix.SetfsuidRetUid(id); err != nil {
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}
