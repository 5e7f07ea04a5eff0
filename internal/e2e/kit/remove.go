package kit

import (
	"context"
	"os"
	"path/filepath"

	"slipway/internal/sandbox"
)

func init() {
	sandbox.Register("e2e.remove", func(_ context.Context, w *sandbox.Worker) error {
		var path string
		if err := w.Args(&path); err != nil {
			return err
		}
		return removeOwn(path)
	})
}

// RemoveAll removes a folder that may hold files of the ids that machines have.
func RemoveAll(path string) error {
	if removeOwn(path) == nil {
		return nil
	}
	host, err := sandbox.Detect()
	if err != nil {
		return err
	}
	p, err := host.Start(context.Background(), "e2e.remove", path)
	if err != nil {
		return err
	}
	for range p.Events() {
	}
	if err := p.Wait(); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// removeOwn also removes what is in folders without write permission.
func removeOwn(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	filepath.WalkDir(path, func(name string, d os.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			os.Chmod(name, 0o700) // what cannot be changed fails below
		}
		return nil
	})
	return os.RemoveAll(path)
}
