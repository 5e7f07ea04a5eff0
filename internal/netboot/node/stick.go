package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/build"
)

// ChunksPath is where a recovery stick has the list of its image's pieces.
const ChunksPath = "slipway/image.json"

// StickData is the name of a recovery stick's partition with its data.
const StickData = build.StickData

// offline installs from the stick that the machine was started from. A disk
// that this stick has written already is started instead.
func (p *program) offline(ctx context.Context) error {
	o := p.cfg.Offline.Order
	o.OnlyEmpty = !p.cfg.Offline.Erase
	o.Why = "a recovery stick"
	disk, err := p.scan.choose(o.Disk)
	if err != nil {
		return err
	}
	f, err := os.Open(disk.Path)
	if err != nil {
		return err
	}
	m := readMark(f)
	f.Close()
	if m != nil && m.Machine == o.Machine && m.Grant == o.Grant {
		return fmt.Errorf("%s was written by this stick already: take the stick out, or let the firmware start the disk first", disk)
	}
	if err := p.install(ctx, &o); err != nil {
		return err
	}
	return p.machine.Restart()
}

// openStick finds the stick's partition with the image's data.
func (p *program) openStick(what string, a *Artefact) (*download, error) {
	list, err := os.ReadFile(p.scan.at("root", ChunksPath))
	if err != nil {
		return nil, fmt.Errorf("reading the stick's list of %s: %w", what, err)
	}
	c, err := DecodeChunks(list, a.List)
	if err != nil {
		return nil, err
	}
	place, err := p.partition(p.cfg.Offline.Label)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(place)
	if err != nil {
		return nil, fmt.Errorf("reading the stick: %w", err)
	}
	return &download{source: newPacked(f, c), chunks: c, name: what, report: func(int64, int64) {},
		again: func(_ context.Context, _ string, _ int, do func() error) error { return do() }}, nil
}

// stickPatience is how long a stick may take to appear: USB is slow.
const stickPatience = 30 * time.Second

// partition finds a partition by its name in the table.
func (p *program) partition(label string) (string, error) {
	for until := time.Now().Add(stickPatience); ; time.Sleep(200 * time.Millisecond) {
		files, _ := filepath.Glob(p.scan.at("sys", "class/block/*/uevent"))
		for _, file := range files {
			if strings.Contains("\n"+text(file)+"\n", "\nPARTNAME="+label+"\n") {
				return p.scan.at("dev", filepath.Base(filepath.Dir(file))), nil
			}
		}
		if time.Now().After(until) {
			return "", fmt.Errorf("the stick's partition %s does not appear: its driver is missing, or the stick was taken out", label)
		}
	}
}

// packed is the data of an image, piece after piece without the holes.
type packed struct {
	r  io.ReaderAt
	at map[int64]int64 // place of a piece in the image: place in r
}

func newPacked(r io.ReaderAt, c *Chunks) *packed {
	p := &packed{r: r, at: map[int64]int64{}}
	var n int64
	for _, piece := range c.Pieces {
		p.at[piece.At] = n
		n += piece.N
	}
	return p
}

func (p *packed) piece(_ context.Context, at, n int64) ([]byte, error) {
	place, ok := p.at[at]
	if !ok {
		return nil, errors.New("the stick has no such piece of the image")
	}
	b := make([]byte, n)
	if _, err := p.r.ReadAt(b, place); err != nil {
		return nil, fmt.Errorf("reading the stick: %w", err)
	}
	return b, nil
}

// Pack writes the data of an image as a stick holds it.
func Pack(w io.Writer, r io.ReaderAt, c *Chunks) error {
	for _, p := range c.Pieces {
		if _, err := io.Copy(w, io.NewSectionReader(r, p.At, p.N)); err != nil {
			return err
		}
	}
	return nil
}

// Packed is the data of an image without its holes, as a recovery stick holds
// it. It is an image.Volume.
type Packed struct {
	List   []byte // of the pieces
	Digest string // of the list
	Image  int64  // size of the image
	path   string
	chunks *Chunks
}

// OpenPacked reads an image once.
func OpenPacked(ctx context.Context, path string) (*Packed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := MakeChunks(ctx, f)
	if err != nil {
		return nil, err
	}
	p := &Packed{path: path, chunks: c, Image: c.Size}
	p.List, p.Digest, err = c.Encode()
	return p, err
}

// Size is the size of the data, in bytes.
func (p *Packed) Size() int64 { return p.chunks.Data() }

// Write writes the data.
func (p *Packed) Write(_ context.Context, w io.Writer) error {
	f, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer f.Close()
	return Pack(w, f, p.chunks)
}
