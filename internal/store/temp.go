package store

import (
	"os"
	"path/filepath"
)

// TempFile creates a file of mode 0600 in the store's tmp folder, where a
// rename to its final place is atomic. The caller closes and renames or
// removes it; what a killed process leaves is removed later.
func (s *Store) TempFile(prefix string) (*os.File, error) {
	if err := s.writable("creating a temporary file"); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.path("tmp"), prefix+"-*")
	if err != nil {
		return nil, s.explain("creating a temporary file", err)
	}
	if err := s.own(f.Name()); err != nil {
		f.Close()
		os.Remove(f.Name())
		return nil, err
	}
	return f, nil
}

// TempDir creates a folder of mode 0700 in the store's tmp folder. The caller
// renames or removes it. In a worker it stays the machine's: it becomes a
// tree.
func (s *Store) TempDir(prefix string) (string, error) {
	if err := s.writable("creating a temporary folder"); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(s.path("tmp"), prefix+"-*")
	if err != nil {
		return "", s.explain("creating a temporary folder", err)
	}
	return dir, nil
}

// own gives a file that a worker made to the caller, whose store it is.
func (s *Store) own(path string) error {
	if !s.opt.Worker {
		return nil
	}
	return s.explain("giving "+filepath.Base(path)+" to the store's owner", os.Lchown(path, WorkerOwner, WorkerOwner))
}

// publish moves a finished file from tmp to its name. If another process was
// first, its file is replaced by the same bytes.
func (s *Store) publish(f *os.File, name string) error {
	err := f.Close()
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
		return s.explain("writing "+filepath.Base(name), err)
	}
	return nil
}
