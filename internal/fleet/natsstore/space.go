package natsstore

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// room says so when the file system is full: the server's own words are not of
// much help then.
func (s *Store) room() string {
	var st unix.Statfs_t
	if unix.Statfs(s.dir, &st) != nil {
		return ""
	}
	if free := st.Bavail * uint64(st.Bsize); free < 1<<20 {
		return fmt.Sprintf(" (only %d KiB are free there: make room, it goes on by itself)", free>>10)
	}
	return ""
}
