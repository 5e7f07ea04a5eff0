package link

import (
	"encoding/binary"
	"fmt"
	"io"
)

// MaxFrame is the largest frame that QEMU sends or takes, in bytes.
const MaxFrame = 68 << 10

// readFrame reads one frame into buf, which has room for MaxFrame.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > MaxFrame {
		return nil, fmt.Errorf("reading a frame of QEMU's: it has %d bytes, at most %d are possible", n, MaxFrame)
	}
	if _, err := io.ReadFull(r, buf[:n]); err != nil {
		return nil, fmt.Errorf("reading a frame of QEMU's: %w", noEOF(err))
	}
	return buf[:n], nil
}

// writeFrame writes frame[4:] with its length, for which the first four bytes
// have room, so that it goes out at once.
func writeFrame(w io.Writer, frame []byte) error {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	_, err := w.Write(frame)
	return err
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
