package metal

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// verify reads pieces of the disk past the page cache and compares them.
func (d *Device) verify(ctx context.Context, f *os.File, pieces []piece, report func(string, int64, int64)) error {
	if d.File {
		// A filesystem keeps its pages; they are clean after the sync and can be dropped.
		_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	} else if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKFLSBUF, 0); errno != 0 && errno != unix.EACCES {
		return fmt.Errorf("dropping the cache before reading back: %w", errno)
	}
	r, err := d.reader()
	if err != nil {
		return err
	}
	defer r.Close()
	buf := aligned(pieceSize)
	var total, done int64
	for _, p := range pieces {
		total += p.n
	}
	for _, p := range pieces {
		for at := p.at; at < p.at+p.n; at += pieceSize {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(pieceSize, p.at+p.n-at)
			if err := readBack(r, buf, d.base+at, n); err != nil {
				return fmt.Errorf("reading back: %w", err)
			}
			if !p.holds(buf[:n]) {
				return fmt.Errorf("reading back: the bytes from %d to %d are not what was written: the disk is faulty, or its plug is", at, at+n)
			}
			done += n
			if report != nil {
				report("verify", done, total)
			}
		}
	}
	return nil
}

// holds compares; a piece that is not zeros is never longer than pieceSize.
func (p *piece) holds(b []byte) bool {
	if !p.zero {
		return sha256.Sum256(b) == p.sum
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// reader opens the disk for direct input; some filesystems have none.
func (d *Device) reader() (*os.File, error) {
	fd, err := unix.Open(d.Path, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err == unix.EINVAL {
		fd, err = unix.Open(d.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s to read it back: %w", d.Path, err)
	}
	return os.NewFile(uintptr(fd), d.Path), nil
}

// readBack reads n bytes; direct input wants whole sectors at whole sectors.
func readBack(f *os.File, buf []byte, at, n int64) error {
	whole := (n + 4095) &^ 4095
	if at%512 != 0 {
		return fmt.Errorf("a piece begins at %d, which is no sector", at)
	}
	if whole > int64(len(buf)) {
		whole = int64(len(buf))
	}
	got, err := f.ReadAt(buf[:whole], at)
	if int64(got) >= n {
		return nil // beyond n there may be nothing
	}
	return err
}

// aligned makes a buffer that direct input can use.
func aligned(n int) []byte {
	b := make([]byte, n+4096)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & 4095)
	return b[skip : skip+n]
}
