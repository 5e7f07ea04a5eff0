package ext4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// pattern is a content of zeros with a mark at its end and every 64 MiB.
type pattern struct{ at, size int64 }

const markEvery = 64 << 20

func (p *pattern) Read(b []byte) (int, error) {
	if p.at == p.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), p.size-p.at)]
	clear(b)
	for next := ceil(p.at, markEvery) * markEvery; next < p.at+int64(len(b)); next += markEvery {
		b[next-p.at] = 'm'
	}
	if p.at += int64(len(b)); p.at == p.size {
		b[len(b)-1] = 'e'
	}
	return len(b), nil
}

type patterns int64

func (n patterns) Open(tree.Digest) (io.ReadCloser, error) {
	return io.NopCloser(&pattern{size: int64(n)}), nil
}

// 4 GiB and a byte need a tree of extents; the image stays small.
func TestLargeFile(t *testing.T) {
	need(t, "e2fsck")
	const size = 4<<30 + 1
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755},
		{Path: "big", Type: tree.File, Mode: 0o644, Size: size, Digest: tree.Digest{1}},
		{Path: "next", Type: tree.Symlink, Target: strings.Repeat("x", 100)}}}
	img := write(t, m, patterns(size), image.VolumeOptions{})
	clean(t, img)
	if why := canMount(); why != "" {
		t.Skip(why)
	}
	script := `f=$1/big && stat -c %s $f && tail -c 1 $f && head -c 1 $f &&
		dd if=$f bs=4096 skip=$((1<<18)) count=1 status=none | head -c1 && readlink "$1/next" && stat -c %b $f`
	out, err := mounted(img, "ro", script)
	if want := fmt.Sprintf("%d\nemm%s\n%d\n", int64(size), strings.Repeat("x", 100), (size+4095)/4096*8+8); err != nil || out != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	st, _ := os.Stat(img)
	if used := must(t, "du", "--block-size=1", img); st.Size() < size || len(used[:strings.IndexByte(used, '\t')]) > 8 {
		t.Errorf("%d bytes, on the disk %s", st.Size(), used)
	}
}

// The tree of extents, by numbers: 340 in a block, 4 in an inode.
func TestTreeBlocks(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 4: 0, 5: 1, 340: 1, 341: 2, 4 * 340: 4, 4*340 + 1: 5 + 1, 131073: 386 + 2} {
		if got := treeBlocks(n); got != want {
			t.Errorf("%d extents: %d blocks, want %d", n, got, want)
		}
	}
}

// Contents that are too long are as wrong as those that are too short.
func TestWrongContent(t *testing.T) {
	for _, size := range []int64{5, batchSize + 5, 3 * batchSize} {
		m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir}, {Path: "f", Type: tree.File, Size: size}}}
		for _, wrong := range []int64{size - 1, size + 1} {
			err := (Writer{}).Write(context.Background(), io.Discard, m, patterns(wrong), image.Options{})
			if err == nil || !strings.Contains(err.Error(), `"f": got`) {
				t.Errorf("%d bytes for %d: %v", wrong, size, err)
			}
		}
	}
}

type failing struct{ patterns }

var errGone = errors.New("gone")

func (failing) Open(tree.Digest) (io.ReadCloser, error) { return nil, errGone }

func TestFailingContent(t *testing.T) {
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir}}}
	for i := range 1000 {
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprintf("f%03d", i), Type: tree.File, Size: int64(i) << 12})
	}
	if err := (Writer{}).Write(context.Background(), io.Discard, m, failing{}, image.Options{}); !errors.Is(err, errGone) {
		t.Error(err)
	}
}

// Runs of zeros in contents become holes, wherever they lie.
func TestZeros(t *testing.T) {
	c := tree.Bytes{}
	data := make([]byte, 5<<20+7)
	for _, at := range []int{0, 1<<20 - 1, 2 << 20, 4<<20 + 5} {
		data[at] = 1
	}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755},
		{Path: "f", Type: tree.File, Size: int64(len(data)), Digest: c.Add(data), Mode: 0o644}}}
	var plain bytes.Buffer
	if err := (Writer{}).Write(context.Background(), &plain, m, c, image.Options{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(plain.Bytes(), data) {
		t.Error("the content is not in the image")
	}
	img := write(t, m, c, image.VolumeOptions{})
	clean(t, img)
	if du := must(t, "du", "-k", img); len(du[:strings.IndexByte(du, '\t')]) > 3 {
		t.Error("takes too much: ", du)
	}
}
