package store

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Lock takes a lock that all slipways sharing the store see, and waits for
// it. Shared locks exclude only exclusive ones. It is a flock(2) on a file, so
// it ends with the process whatever happens to it; unlock ends it earlier.
// Locks of one process exclude each other too.
func (s *Store) Lock(name string, exclusive bool) (unlock func(), err error) {
	if !validName(name) {
		return nil, fmt.Errorf("locking %q: not a usable name", name)
	}
	if s.readOnly { // nobody else can write either, as far as we can know
		return func() {}, nil
	}
	f, err := s.openLock(s.path("locks", name))
	if err != nil {
		return nil, err
	}
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	if err := flock(f, how); err != nil {
		f.Close()
		return nil, s.explain("locking "+name, err)
	}
	return func() { f.Close() }, nil
}

func (s *Store) openLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if os.IsNotExist(err) {
		if f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600); err == nil {
			err = s.own(name)
		}
	}
	return f, s.explain("opening a lock", err)
}

// markUse holds a shared lock for as long as the store is open, so that
// garbage collection knows when nobody is in the middle of something. Whoever
// finds itself alone first clears what killed processes left.
func (s *Store) markUse() error {
	if s.readOnly || s.opt.Worker { // a worker lives within its parent's use
		return nil
	}
	f, err := s.openLock(s.path("lock"))
	if err != nil {
		return err
	}
	s.use = f
	if flock(f, unix.LOCK_EX|unix.LOCK_NB) == nil {
		s.clearTemp()
	}
	return s.explain("locking the store", flock(f, unix.LOCK_SH))
}

// clearTemp removes unfinished files, and remembers unfinished folders: they
// may hold ids that only a worker can remove.
func (s *Store) clearTemp() {
	names, _ := os.ReadDir(s.path("tmp"))
	for _, n := range names {
		path := s.path("tmp", n.Name())
		if n.IsDir() {
			s.abandoned = append(s.abandoned, path)
		} else if n.Type().IsRegular() {
			os.Remove(path)
		}
	}
}

// Abandoned lists the folders that killed processes left unfinished, as far as
// nobody else used the store when it was opened. Whoever is about to fill the
// store removes them, or GC does.
func (s *Store) Abandoned() []string { return s.abandoned }

func flock(f *os.File, how int) error {
	for {
		if err := unix.Flock(int(f.Fd()), how); err != unix.EINTR {
			return err
		}
	}
}
