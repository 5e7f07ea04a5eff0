package build

import (
	"context"
	"os"

	"golang.org/x/sys/unix"

	"slipway/internal/sandbox"
	"slipway/internal/store"
)

func init() { sandbox.Register("remove", removeWorker) }

// removeWorker removes a folder whose files belong to the machine's ids.
func removeWorker(_ context.Context, w *sandbox.Worker) error {
	var path string
	if err := w.Args(&path); err != nil {
		return err
	}
	return os.RemoveAll(path)
}

// RemoveAll removes a folder with ids that only a worker can handle.
func (b *Builder) RemoveAll(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	proc, err := b.Host.Start(context.Background(), "remove", path)
	if err != nil {
		return err
	}
	for range proc.Events() {
	}
	return proc.Wait()
}

// GC removes what no machine uses from the store. Without a bound everything
// that is not pinned goes.
func (b *Builder) GC(ctx context.Context, opt store.GCOptions) (store.Report, error) {
	opt.All = opt.MaxBytes == 0 && opt.MaxAge == 0
	opt.RemoveAll = b.RemoveAll
	return b.Store.GC(ctx, opt)
}

// FreeBytes is the space that a user may still fill on a folder's filesystem.
func FreeBytes(dir string) int64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return int64(st.Bavail) * st.Bsize
}
