// Package xz decompresses the .xz format for the readers of package indexes
// and package members: a reader that finds the blocks of a file by its index
// and decodes several at once, and a sequential one for all else.
//
// Blocks of LZMA2 alone, which is what archives hold, are decoded by package
// lzma2; other filters, and files without a usable index, by
// github.com/therootcompany/xz. The package does not compress. The container format is specified in "The .xz File
// Format", version 1.1.0, whose sections the comments cite.
package xz

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	upstream "github.com/therootcompany/xz"
)

// DictMax is the largest LZMA2 dictionary accepted, in bytes: what "xz -9"
// uses. A stream that declares more is refused before anything is allocated.
const DictMax = 64 << 20

// inputBuffer is how much is read from the source at a time, in bytes. The
// decoder itself asks for 8 KiB, which is dear when the source is a file.
const inputBuffer = 128 << 10

var (
	// ErrClosed is returned by a Read after Close.
	ErrClosed = errors.New("xz: reader is closed")
	// ErrTruncated is wrapped when the data end before the stream does.
	ErrTruncated = errors.New("xz: data end too early")
)

// decoder is a decompressor with its buffers; it owns a dictionary of up to
// DictMax bytes, which is why it is worth keeping.
type decoder struct {
	in *bufio.Reader
	z  *upstream.Reader
}

var decoders = sync.Pool{New: func() any {
	z, err := upstream.NewReader(nil, DictMax)
	if err != nil {
		panic(err) // cannot fail without a source
	}
	return &decoder{in: bufio.NewReaderSize(nil, inputBuffer), z: z}
}}

// acquire takes a decoder from the pool and points it at r.
func acquire(r io.Reader) (*decoder, error) {
	d := decoders.Get().(*decoder)
	d.in.Reset(r)
	if err := d.z.Reset(d.in); err != nil {
		d.release()
		return nil, explain(err)
	}
	return d, nil
}

// release returns the decoder to the pool. The decoder must not be used again.
func (d *decoder) release() {
	d.in.Reset(nil)
	decoders.Put(d)
}

// explain turns the decoder's end-of-data error into one that says so.
func explain(err error) error {
	if errors.Is(err, upstream.ErrBuf) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w (%v)", ErrTruncated, err)
	}
	return err
}

// Reader decompresses one .xz file (one stream or several, section 2) in
// order. It is not safe for use by several goroutines.
type Reader struct {
	d   *decoder
	err error
}

// NewReader reads the stream header from r and returns a Reader. It may read
// further from r than the stream reaches. Close it to let the next Reader
// reuse its memory; a Reader that is never closed is only garbage.
func NewReader(r io.Reader) (*Reader, error) {
	d, err := acquire(r)
	if err != nil {
		return nil, err
	}
	return &Reader{d: d}, nil
}

// Read implements io.Reader. The last bytes are given before the check sums
// that cover them were compared; only io.EOF says that everything was right.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil || len(p) == 0 {
		return 0, r.err
	}
	n, err := r.d.z.Read(p)
	if err != nil && err != io.EOF {
		err = explain(err)
	}
	r.err = err
	return n, err
}

// Close gives the decoder back; it never fails and may be called twice. It
// does not close the source.
func (r *Reader) Close() error {
	if r.d != nil {
		r.d.release()
		r.d = nil
	}
	if r.err == nil || r.err == io.EOF {
		r.err = ErrClosed
	}
	return nil
}
