package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"slipway/internal/fleet"
)

// Chunks is a file as a list of pieces with their checksums; what no piece
// covers is zeros. With it a machine fetches what is data alone, goes on where
// a line broke, and never writes a byte that it has not checked.
type Chunks struct {
	Version int     `json:"version"`
	Size    int64   `json:"size"` // of the file
	Pieces  []Piece `json:"pieces"`
}

// Piece is one stretch of data.
type Piece struct {
	At  int64  `json:"at"`
	N   int64  `json:"n"`
	Sum string `json:"sha256"`
}

const (
	chunksVersion = 1
	pieceSize     = 4 << 20 // largest piece, in bytes
	maxChunks     = 256 << 20
)

// MakeChunks reads a file once. Its holes cost nothing.
func MakeChunks(ctx context.Context, f *os.File) (*Chunks, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	c := &Chunks{Version: chunksVersion, Size: st.Size(), Pieces: []Piece{}}
	buf := make([]byte, pieceSize)
	for at := int64(0); at < c.Size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		data, hole := extent(f, at, c.Size)
		for at = data; at < hole; {
			b := buf[:min(pieceSize, hole-at)]
			if _, err := io.ReadFull(io.NewSectionReader(f, at, int64(len(b))), b); err != nil {
				return nil, fmt.Errorf("reading %s: %w", f.Name(), err)
			}
			sum := sha256.Sum256(b)
			c.Pieces = append(c.Pieces, Piece{at, int64(len(b)), hex.EncodeToString(sum[:])})
			at += int64(len(b))
		}
	}
	return c, nil
}

// extent is the next stretch of data; where nothing is known of holes, all.
func extent(f *os.File, at, end int64) (data, hole int64) {
	data, err := unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return end, end
	}
	if err != nil {
		return at, end
	}
	hole, err = unix.Seek(int(f.Fd()), data, unix.SEEK_HOLE)
	if err != nil {
		hole = end
	}
	return min(data, end), min(hole, end)
}

// Encode gives the bytes of the list and their digest.
func (c *Chunks) Encode() (data []byte, digest string, err error) {
	if data, err = json.Marshal(c); err != nil {
		return nil, "", err
	}
	sum := sha256.Sum256(data)
	return data, hex.EncodeToString(sum[:]), nil
}

// DecodeChunks reads a list that has a digest.
func DecodeChunks(data []byte, digest string) (*Chunks, error) {
	sum := sha256.Sum256(data)
	if hex.EncodeToString(sum[:]) != digest {
		return nil, because(fleet.CauseCorrupt, errors.New("the list of the image's pieces is not the one that was signed"))
	}
	c := new(Chunks)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("reading the list of the image's pieces: %w", err)
	}
	return c, c.check()
}

// check refuses pieces that are out of order or too large.
func (c *Chunks) check() error {
	if c.Version != chunksVersion {
		return fmt.Errorf("the list of the image's pieces has version %d, this program knows %d: make the initrd again", c.Version, chunksVersion)
	}
	at := int64(0)
	for _, p := range c.Pieces {
		if p.At < at || p.N <= 0 || p.N > pieceSize || p.At > c.Size-p.N {
			return fmt.Errorf("the list of the image's pieces is damaged at offset %d", p.At)
		}
		at = p.At + p.N
	}
	return nil
}

// Data is how many bytes are fetched.
func (c *Chunks) Data() (n int64) {
	for _, p := range c.Pieces {
		n += p.N
	}
	return n
}

// holds tells whether bytes are those of the piece.
func (p Piece) holds(b []byte) bool {
	sum := sha256.Sum256(b)
	return int64(len(b)) == p.N && hex.EncodeToString(sum[:]) == p.Sum
}
