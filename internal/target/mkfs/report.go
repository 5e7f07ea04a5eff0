package mkfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// What the machine says: a kind, a length of 8 bytes big-endian, and so many
// bytes.
type kind byte

const (
	sayStage kind = 's' // what it does now; text
	sayAlive kind = 'a' // how many bytes it has worked through; 8 bytes
	sayError kind = 'e' // why it cannot; text, the last
	sayTree  kind = 't' // the manifest of what lies in the volume
	sayDone  kind = 'd' // the volume is whole; empty, the last
)

// Bounds of what is said, in bytes.
const (
	maxText = 64 << 10
	maxTree = 1 << 30
)

// heard is what the host says after the last word. Until then the machine
// stays: what it wrote last may still be on its way.
const heard = 'h'

func say(w io.Writer, k kind, body []byte) error {
	head := binary.BigEndian.AppendUint64([]byte{byte(k)}, uint64(len(body)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	_, err := w.Write(body)
	return err
}

// errSilent says that the machine ended without a last word.
var errSilent = errors.New("the virtual machine ended before it was done")

// hear reads until the last word. Each is given to fn, with a reader of its
// bytes that need not be read to the end.
func hear(r io.Reader, fn func(kind, io.Reader) error) error {
	for {
		var head [9]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = errSilent
			}
			return err
		}
		k, length := kind(head[0]), binary.BigEndian.Uint64(head[1:])
		most := uint64(maxText)
		if k == sayTree {
			most = maxTree
		}
		if length > most {
			return fmt.Errorf("the virtual machine says %q in %d bytes", string(k), length)
		}
		body := &whole{r, int64(length)}
		switch k {
		case sayError:
			text, err := io.ReadAll(body)
			return errors.Join(err, errors.New(string(text)))
		case sayDone:
			return nil
		case sayStage, sayAlive, sayTree:
			if err := fn(k, body); err != nil {
				if errors.Is(err, errSilent) {
					err = errSilent
				}
				return err
			}
		default:
			return fmt.Errorf("the virtual machine says %q, which means nothing", string(k))
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return err
		}
	}
}

// whole reads n bytes, and fails when fewer come.
type whole struct {
	r io.Reader
	n int64
}

func (w *whole) Read(p []byte) (int, error) {
	if w.n <= 0 {
		return 0, io.EOF
	}
	n, err := w.r.Read(p[:min(int64(len(p)), w.n)])
	if w.n -= int64(n); err == io.EOF && w.n > 0 {
		err = errSilent
	}
	return n, err
}
