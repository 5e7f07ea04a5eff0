package squashfs

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// samplesOf are blocks of all sorts.
func samplesOf(size int) map[string][]byte {
	words := bytes.Repeat([]byte("the words of a text, "), size/20+1)[:size]
	mixed := noise(size)
	copy(mixed, words[:size/2])
	return map[string][]byte{"zeros": make([]byte, size), "text": words, "noise": noise(size), "mixed": mixed}
}

// The kernel reads a zstd frame only if nothing follows the last of its data:
// no checksum, and no empty block at the end. Its memory is for windows of one
// block.
func TestZstdFrames(t *testing.T) {
	for _, blockSize := range []int{minBlockSize, DefaultBlockSize, maxBlockSize} {
		for level := 1; level <= codecs[Zstd].levels; level++ {
			c, err := newZstd(level, blockSize)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int{1, 1000, metaSize, blockSize - 1, blockSize} {
				for name, src := range samplesOf(size) {
					t.Run(fmt.Sprint(blockSize, level, size, name), func(t *testing.T) {
						out, err := c.compress(nil, src)
						if err != nil {
							t.Fatal(err)
						}
						checkFrame(t, out, max(blockSize, metaSize))
					})
				}
			}
		}
	}
}

// checkFrame walks the blocks of a frame (RFC 8878, 3.1.1).
func checkFrame(t *testing.T, b []byte, window int) {
	t.Helper()
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		t.Fatal(err)
	}
	if h.HasCheckSum || h.WindowSize > uint64(window) || h.SingleSegment && h.FrameContentSize > uint64(window) {
		t.Errorf("header %+v, but the window is %d", h, window)
	}
	for b = b[h.HeaderSize:]; ; {
		head := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
		last, rle, size := head&1 != 0, head>>1&3 == 1, head>>3
		if size == 0 {
			t.Error("an empty block")
		}
		if rle {
			size = 1
		}
		b = b[3+size:]
		if last {
			break
		}
	}
	if len(b) != 0 {
		t.Errorf("%d bytes behind the last block", len(b))
	}
}

func TestLooksRandom(t *testing.T) {
	for name, want := range map[string]bool{"zeros": false, "text": false, "noise": true, "mixed": false} {
		if got := looksRandom(samplesOf(DefaultBlockSize)[name]); got != want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if looksRandom(noise(100)) {
		t.Error("too short to tell")
	}
}

func TestAllZero(t *testing.T) {
	b := make([]byte, 5000)
	if !allZero(b) || allZero(nil) {
		t.Error("zeros")
	}
	for _, i := range []int{0, 1, 2500, 4999} {
		b[i] = 1
		if allZero(b) {
			t.Errorf("a one at %d", i)
		}
		b[i] = 0
	}
}
