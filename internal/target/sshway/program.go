package sshway

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Lasting gives a path of this program that ssh can call later. A program of
// `go run` is gone then, so such a one is copied into the folder.
func (d Dir) Lasting() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the slipway program: %w", err)
	}
	if !strings.Contains(path, "/go-build") && !strings.HasSuffix(path, " (deleted)") {
		return path, nil
	}
	return d.path("slipway"), d.copyProgram()
}

func (d Dir) copyProgram() error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	if same(from, d.path("slipway")) {
		return nil
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	to, err := os.CreateTemp(string(d), ".new-")
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Chmod(0o755), to.Close())
	if err == nil {
		err = os.Rename(to.Name(), filepath.Join(string(d), "slipway"))
	}
	if err != nil {
		os.Remove(to.Name())
		return fmt.Errorf("keeping a copy of slipway for ssh: %w", err)
	}
	return nil
}

// same compares sizes and the build ids, which stand at the beginning.
func same(f *os.File, path string) bool {
	other, err := os.Open(path)
	if err != nil {
		return false
	}
	defer other.Close()
	a, errA := f.Stat()
	b, errB := other.Stat()
	if errA != nil || errB != nil || a.Size() != b.Size() {
		return false
	}
	const head = 1 << 16
	x, y := make([]byte, head), make([]byte, head)
	n, _ := f.ReadAt(x, 0)
	m, _ := other.ReadAt(y, 0)
	return n == m && string(x[:n]) == string(y[:m])
}
