package netboot

import (
	"context"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// How often a folder is looked at: when the kernel tells of a change, after a
// moment for those who write several files; otherwise rarely, for file systems
// that tell nothing.
const (
	settle  = 100 * time.Millisecond
	glances = 5 * time.Second
	poll    = 500 * time.Millisecond
)

// Watch follows the folder until ctx ends, and tells changed which machines
// are new or not as they were.
func (f *Folder) Watch(ctx context.Context, changed func(names []string)) {
	told, err := f.notified(ctx)
	pause := glances
	if err != nil {
		pause = poll
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-told:
			time.Sleep(settle)
			for len(told) > 0 {
				<-told
			}
		case <-tick.C:
		}
		if names := f.Refresh(); len(names) > 0 {
			changed(names)
		}
	}
}

// notified has the kernel tell of changes in all folders that files are read
// from (inotify(7)). A folder that is named later is seen at the next glance.
func (f *Folder) notified(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	const what = unix.IN_CLOSE_WRITE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_CREATE | unix.IN_DELETE
	for dir := range f.dirs() {
		if _, err := unix.InotifyAddWatch(fd, dir, what); err != nil {
			unix.Close(fd)
			return nil, os.NewSyscallError("inotify_add_watch", err)
		}
	}
	file := os.NewFile(uintptr(fd), "inotify")
	context.AfterFunc(ctx, func() { file.Close() })
	told := make(chan struct{}, 1)
	go func() {
		buf := make([]byte, 64*(unsafe.Sizeof(unix.InotifyEvent{})+unix.NAME_MAX+1))
		for {
			if _, err := file.Read(buf); err != nil {
				return
			}
			select {
			case told <- struct{}{}:
			default:
			}
		}
	}()
	return told, nil
}

// dirs are the folders that files are read from.
func (f *Folder) dirs() map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	dirs := map[string]bool{}
	if st, err := os.Stat(f.dir); err == nil && st.IsDir() {
		dirs[f.dir] = true
	} else {
		dirs[filepath.Dir(f.dir)] = true
	}
	for _, s := range f.files {
		for _, r := range s.reads {
			dirs[filepath.Dir(r)] = true
		}
	}
	return dirs
}
