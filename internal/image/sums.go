package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// sumChunk is the piece of a file that has a checksum of its own.
const sumChunk = 4 << 20

// Sums are the checksums of a large, sparse file, piece by piece: they are
// made and checked on all processors at once, and holes cost nothing.
type Sums struct {
	Size   int64    `json:"size"`
	Chunk  int64    `json:"chunk"`
	SHA256 []string `json:"sha256"` // of each piece; "" is all zeros
}

// SumFile makes the checksums of a file.
func SumFile(ctx context.Context, path string) (*Sums, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("summing an image: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := &Sums{Size: st.Size(), Chunk: sumChunk, SHA256: make([]string, (st.Size()+sumChunk-1)/sumChunk)}
	err = s.each(ctx, f, func(i int, sum string) error {
		s.SHA256[i] = sum
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("summing %s: %w", path, err)
	}
	return s, nil
}

// Check reads a file and compares it with its checksums. The error says where
// it differs first.
func (s *Sums) Check(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("checking an image: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() != s.Size || s.Chunk != sumChunk || int64(len(s.SHA256)) != (s.Size+sumChunk-1)/sumChunk {
		return fmt.Errorf("%s is damaged: it has %d bytes, its checksums are of %d", path, st.Size(), s.Size)
	}
	return s.each(ctx, f, func(i int, sum string) error {
		if sum != s.SHA256[i] {
			return fmt.Errorf("%s is damaged: the bytes from %d on are not what was written", path, int64(i)*s.Chunk)
		}
		return nil
	})
}

// each hands out the checksum of every piece, in any order, one processor each.
func (s *Sums) each(ctx context.Context, f *os.File, use func(i int, sum string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		g.Go(func() error {
			buf := make([]byte, s.Chunk)
			for i := w; i < len(s.SHA256); i += workers {
				if err := ctx.Err(); err != nil {
					return err
				}
				sum, err := s.sum(f, i, buf)
				if err == nil {
					err = use(i, sum)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}

func (s *Sums) sum(f *os.File, i int, buf []byte) (string, error) {
	at := int64(i) * s.Chunk
	n := min(s.Chunk, s.Size-at)
	// A filesystem that knows no holes says that there is data everywhere.
	data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) || err == nil && data >= at+n {
		return "", nil
	}
	if _, err := f.ReadAt(buf[:n], at); err != nil {
		return "", err
	}
	if allZero(buf[:n]) {
		return "", nil
	}
	sum := sha256.Sum256(buf[:n])
	return hex.EncodeToString(sum[:]), nil
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7] != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
