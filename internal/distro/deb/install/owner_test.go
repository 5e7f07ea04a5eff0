package install

import (
	"fmt"
	"io/fs"
	"syscall"
)

func ownerOf(st fs.FileInfo) string {
	s := st.Sys().(*syscall.Stat_t)
	links := uint64(s.Nlink)
	if st.IsDir() {
		links = 0
	}
	return fmt.Sprintf("%d:%d links %d", s.Uid, s.Gid, links)
}
