package metal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"slipway/internal/image"
)

// WriteOptions of Write.
type WriteOptions struct {
	What     string // is being written, for the mark of an unfinished write
	Progress func(stage string, done, total int64)
	Now      time.Time
	// Head may change the first bytes of the volume, at most a MiB, before they
	// are written: last, when all others were read back. It may be nil.
	Head func([]byte) error
}

// headSize is the part at the start of a disk that is written last: until then
// a mark is there, so that a disk that was half written never looks whole.
const headSize = 1 << 20

// unfinished begins the mark of a write that has not ended.
const unfinished = "slipway: unfinished write\n"

// Write puts a volume on a disk, reads it back past the page cache and
// compares. The disk is checked to be idle first. After an error, or when the
// program ends in the middle, the disk carries a mark that Contents reports.
// What lies beyond the volume's end stays, but for the old table's backup in
// the disk's last sectors.
func (d *Device) Write(ctx context.Context, v image.Volume, opt WriteOptions) error {
	if err := d.Fits(v.Size(), opt.What); err != nil {
		return err
	}
	if err := d.Idle(); err != nil {
		return err
	}
	f, err := d.open()
	if err != nil {
		return err
	}
	defer f.Close()
	if opt.Progress == nil {
		opt.Progress = func(string, int64, int64) {}
	}
	err = d.write(ctx, f, v, opt)
	if errors.Is(err, unix.ENOSPC) && d.File {
		return fmt.Errorf("writing %s: %w: make room on the file system that holds it (%s are needed at most), and write it again", d.Path, err, humanSize(v.Size()))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", d.Path, err)
	}
	return errors.Join(d.reread(f), f.Close())
}

// Fits refuses what is larger than the disk. A file grows.
func (d *Device) Fits(size int64, what string) error {
	if size <= d.Size || d.File && d.base == 0 {
		return nil
	}
	return fmt.Errorf("%s has %s, and %s needs %s: choose a larger disk, or make disk.size smaller",
		d.Path, humanSize(d.Size), what, humanSize(size))
}

// open takes the disk for itself.
func (d *Device) open() (*os.File, error) {
	flags := unix.O_RDWR | unix.O_CLOEXEC
	if !d.File {
		flags |= unix.O_EXCL
	}
	fd, err := unix.Open(d.Path, flags, 0)
	if err == unix.EBUSY {
		return nil, &BusyError{d.Path, "something took it just now", "end what uses it"}
	}
	if err != nil {
		return nil, d.opening(err)
	}
	f := os.NewFile(uintptr(fd), d.Path)
	if d.File {
		if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			f.Close()
			return nil, &BusyError{d.Path, "another program has locked it", "wait for it to end"}
		}
	}
	return f, nil
}

func (d *Device) write(ctx context.Context, f *os.File, v image.Volume, opt WriteOptions) error {
	if d.File && d.base == 0 && v.Size() > d.Size {
		if err := f.Truncate(v.Size()); err != nil {
			return err
		}
		d.Size = v.Size()
	}
	if err := d.mark(f, opt); err != nil {
		return err
	}
	w := &diskWriter{f: f, base: d.base, ctx: ctx, total: v.Size(), work: v.Size(), report: opt.Progress, file: d.File, head: make([]byte, min(headSize, v.Size()))}
	if s, ok := v.(skipping); ok {
		w.work -= s.skips()
	}
	if err := v.Write(ctx, w); err != nil {
		return err
	}
	if w.at != v.Size() {
		return fmt.Errorf("%s is %d bytes instead of %d", opt.What, w.at, v.Size())
	}
	if err := w.flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := d.verify(ctx, f, w.pieces, opt.Progress); err != nil {
		return err
	}
	if opt.Head != nil {
		if err := opt.Head(w.head); err != nil {
			return err
		}
	}
	if _, err := f.WriteAt(w.head, d.base); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return d.verify(ctx, f, []piece{{0, int64(len(w.head)), sha256.Sum256(w.head), false}}, nil)
}

// mark says at the start of the disk that a write has begun, and takes the
// table's backup at its end away, which would be found instead of the mark.
func (d *Device) mark(f *os.File, opt WriteOptions) error {
	now := opt.Now
	if now.IsZero() {
		now = time.Now()
	}
	text := fmt.Sprintf("%sof %s\nbegun %s\nThis disk holds nothing that can be used: write it again.\n",
		unfinished, opt.What, now.UTC().Format(time.RFC3339))
	head := make([]byte, min(64<<10, d.Size))
	copy(head, text)
	if _, err := f.WriteAt(head, d.base); err != nil {
		return err
	}
	if tail := int64(64 << 10); d.Size > headSize+tail {
		if _, err := f.WriteAt(make([]byte, tail), d.base+d.Size-tail); err != nil {
			return err
		}
	}
	return f.Sync()
}

// Unfinished returns the words of a mark that an interrupted write left; empty
// without one.
func (d *Device) Unfinished() string {
	f, err := os.Open(d.Path)
	if err != nil {
		return ""
	}
	defer f.Close()
	return unfinishedAt(f, d.base)
}

func unfinishedAt(r io.ReaderAt, at int64) string {
	head := make([]byte, 512)
	if n, _ := r.ReadAt(head, at); n < len(unfinished) || !bytes.HasPrefix(head, []byte(unfinished)) {
		return ""
	}
	text, _, _ := bytes.Cut(head[len(unfinished):], []byte{0})
	lines := strings.SplitN(string(text), "\n", 3)
	return strings.Join(lines[:min(2, len(lines))], ", ")
}

// reread lets the kernel look at the new table.
func (d *Device) reread(f *os.File) error {
	if d.File {
		return nil
	}
	// A loop device without partitions, a partition, or a logical volume says EINVAL.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKRRPART, 0)
	for range 20 { // programs that watch disks may be looking at the old partitions
		if errno != unix.EBUSY {
			break
		}
		time.Sleep(100 * time.Millisecond)
		_, _, errno = unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKRRPART, 0)
	}
	if errno != 0 && errno != unix.EINVAL {
		return fmt.Errorf("%s is written, and the kernel could not read its new table (%w): unplug it or restart before using it", d.Path, errno)
	}
	return nil
}

// piece is a part of the disk and what it must hold.
type piece struct {
	at, n int64
	sum   [sha256.Size]byte
	zero  bool
}

// diskWriter writes in order, in large pieces, and notes their checksums. The
// first bytes are kept back.
type diskWriter struct {
	f      *os.File
	base   int64 // of the part that is written
	ctx    context.Context
	head   []byte
	buf    []byte // not yet written, ends at at
	at     int64
	pieces []piece
	total  int64
	work   int64 // of total, without what is known to be skipped
	passed int64 // skipped so far
	report func(string, int64, int64)
	file   bool
}

const pieceSize = 4 << 20

// skipping is a volume that knows how much of it is skipped (image.Skip): on a
// large disk that is most of it, and takes no time.
type skipping interface{ skips() int64 }

func (w *diskWriter) tell() {
	done := w.at
	if w.work < w.total {
		done -= w.passed
	}
	w.report("write", min(done, w.work), w.work) // the ends of what is skipped are written
}

func (w *diskWriter) Write(b []byte) (int, error) {
	n := len(b)
	if w.at+int64(n) > w.total {
		return 0, fmt.Errorf("more than the %d bytes that were announced", w.total)
	}
	if w.at < int64(len(w.head)) {
		k := copy(w.head[w.at:], b)
		w.at, b = w.at+int64(k), b[k:]
	}
	for len(b) > 0 {
		if w.buf == nil {
			w.buf = make([]byte, 0, pieceSize)
		}
		k := min(len(b), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, b[:k]...)
		w.at, b = w.at+int64(k), b[k:]
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return n - len(b), err
			}
		}
	}
	return n, nil
}

func (w *diskWriter) flush() error {
	if err := w.ctx.Err(); err != nil || len(w.buf) == 0 {
		return err
	}
	at := w.at - int64(len(w.buf))
	if _, err := w.f.WriteAt(w.buf, w.base+at); err != nil {
		return err
	}
	w.pieces = append(w.pieces, piece{at, int64(len(w.buf)), sha256.Sum256(w.buf), false})
	w.buf = w.buf[:0]
	w.tell()
	return nil
}

// Hole implements image.Holer: the disk is zeroed there, by the disk itself
// where it can.
func (w *diskWriter) Hole(n int64) error {
	if in := int64(len(w.head)) - w.at; in > 0 { // the head is zeros already
		k := min(in, n)
		w.at, n = w.at+k, n-k
	}
	for n > 0 && (w.at%4096 != 0 || n < 64<<10) { // too small to be worth a call
		k := min(n, 4096-w.at%4096)
		if _, err := w.Write(make([]byte, k)); err != nil {
			return err
		}
		n -= k
	}
	if err := w.flush(); err != nil || n == 0 {
		return err
	}
	tail := n % 4096
	for n -= tail; n > 0; {
		k := min(n, 256<<20) // so that an interruption is heard
		if err := w.zero(k); err != nil {
			return err
		}
		n -= k
	}
	_, err := w.Write(make([]byte, tail))
	return err
}

func (w *diskWriter) zero(n int64) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	var err error
	if w.file {
		err = unix.Fallocate(int(w.f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, w.base+w.at, n)
	} else {
		area := [2]uint64{uint64(w.base + w.at), uint64(n)}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, w.f.Fd(), unix.BLKZEROOUT, uintptr(unsafe.Pointer(&area))); errno != 0 {
			err = errno
		}
	}
	if err != nil { // neither the disk nor the filesystem can: write them
		zeros := make([]byte, 1<<20)
		for done := int64(0); done < n; done += int64(len(zeros)) {
			if _, err := w.f.WriteAt(zeros[:min(n-done, int64(len(zeros)))], w.base+w.at+done); err != nil {
				return err
			}
		}
	}
	w.pieces = append(w.pieces, piece{at: w.at, n: n, zero: true})
	w.at += n
	w.tell()
	return nil
}

// Skip implements image.Skipper.
func (w *diskWriter) Skip(n int64) error {
	if in := int64(len(w.head)) - w.at; in > 0 {
		k := min(in, n)
		w.at, n = w.at+k, n-k
	}
	if k := min(n, -w.at&4095); k > 0 && w.at >= int64(len(w.head)) { // pieces begin at whole blocks
		if _, err := w.Write(make([]byte, k)); err != nil {
			return err
		}
		n -= k
	}
	tail := n % 4096
	if err := w.flush(); err != nil {
		return err
	}
	w.at += n - tail
	w.passed += n - tail
	if w.at+tail > w.total {
		return fmt.Errorf("more than the %d bytes that were announced", w.total)
	}
	_, err := w.Write(make([]byte, tail))
	return err
}
