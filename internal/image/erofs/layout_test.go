package erofs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/tree"
)

// expandLZ4 is the plain reading of the block format.
func expandLZ4(src []byte) (out []byte, err error) {
	defer func() {
		if e := recover(); e != nil {
			err = fmt.Errorf("broken block: %v", e)
		}
	}()
	length := func(n int) int {
		for more := n == 15; more; {
			more = src[0] == 255
			n += int(src[0])
			src = src[1:]
		}
		return n
	}
	for {
		token := src[0]
		src = src[1:]
		n := length(int(token >> 4))
		out, src = append(out, src[:n]...), src[n:]
		if len(src) == 0 {
			return out, nil
		}
		offset := int(binary.LittleEndian.Uint16(src))
		src = src[2:]
		for range length(int(token&15)) + lz4MinMatch {
			out = append(out, out[len(out)-offset])
		}
	}
}

func TestLZ4(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, unitSize)
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	mixed := bytes.Clone(random)
	for i := range mixed {
		if i%700 < 600 {
			mixed[i] = byte(i % 700 / 50)
		}
	}
	for _, src := range [][]byte{random[:1], random[:13], make([]byte, 12), append(bytes.Clone(random), random...), make([]byte, 13), make([]byte, unitSize), mixed,
		[]byte(strings.Repeat("abc", 5000)), append(random[:300:300], random[:300]...), bytes.Repeat([]byte{9}, 20)} {
		dst := make([]byte, len(src)+len(src)/255+16)
		n := compressLZ4(dst, src, new(lz4Table))
		got, err := expandLZ4(dst[:n])
		if err != nil || !bytes.Equal(got, src) {
			t.Errorf("%d bytes: got back %d, %v", len(src), len(got), err)
		}
		if dst[0] == 0 {
			t.Errorf("%d bytes: begins with a zero, which readers skip", len(src))
		}
		for size := range min(n, 300) { // too small by any number of bytes
			if compressLZ4(dst[:size], src, new(lz4Table)) != 0 {
				t.Errorf("%d bytes fit in %d", len(src), size)
			}
		}
	}
	for units := 1; units <= maxZeros; units++ {
		z := zerosLZ4(units * unitSize)
		got, err := expandLZ4(z)
		if err != nil || !bytes.Equal(got, make([]byte, units*unitSize)) || len(z) > blockSize {
			t.Errorf("%d units of zeros: %d bytes, got back %d, %v", units, len(z), len(got), err)
		}
	}
}

func FuzzLZ4(f *testing.F) {
	f.Add([]byte("abcabcabcabcabcabcabcabc"), 20)
	f.Fuzz(func(t *testing.T, src []byte, size int) {
		if len(src) == 0 || len(src) > unitSize {
			return
		}
		dst := make([]byte, max(0, size)%(2*unitSize))
		if n := compressLZ4(dst, src, new(lz4Table)); n > 0 {
			if got, err := expandLZ4(dst[:n]); err != nil || !bytes.Equal(got, src) {
				t.Errorf("got back %d of %d bytes, %v", len(got), len(src), err)
			}
		}
	})
}

// A content of 65536 + 8192 + 100 bytes: a unit in 3 blocks, two clusters and
// a bit of another in one.
func TestIndex(t *testing.T) {
	n := &inode{size: 65536 + 8192 + 100, blkaddr: 50, extents: []extent{{16, 3}, {3, 1}}}
	b := n.appendIndex(nil)
	if int64(len(b)) != indexSize(n.size) {
		t.Fatalf("%d bytes, want %d", len(b), indexSize(n.size))
	}
	var got []string
	for b = b[indexHeader:]; len(b) > 0; b = b[8:] {
		le := binary.LittleEndian
		got = append(got, fmt.Sprintf("%d.%d.%d.%d", le.Uint16(b), le.Uint16(b[2:]), le.Uint16(b[4:]), le.Uint16(b[6:])))
	}
	want := "1.0.50.0 2.0.2051.15 2.0.2.14 2.0.3.13 2.0.4.12 2.0.5.11 2.0.6.10 2.0.7.9 2.0.8.8 2.0.9.7 2.0.10.6 2.0.11.5 2.0.12.4 2.0.13.3 2.0.14.2 2.0.15.1 " +
		"1.0.53.0 2.0.2049.1 0.100.0.0"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got  %s\nwant %s", s, want)
	}
}

func TestSuperblock(t *testing.T) {
	tr := imagetest.Trees()[3]
	opt := image.VolumeOptions{UUID: [16]byte{0xaa, 15: 0xbb}, Label: "root"}
	v, err := Plan(context.Background(), tr.Manifest, tr.Content, opt)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := v.Write(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	s := b.Bytes()[superOffset:]
	if binary.LittleEndian.Uint32(s) != magic || s[48] != 0xaa || s[63] != 0xbb || string(s[64:69]) != "root\x00" || b.Len() != 2*blockSize {
		t.Errorf("%d bytes, superblock % x", b.Len(), s[:128])
	}
}

func TestRefuses(t *testing.T) {
	root := tree.Entry{Path: ".", Type: tree.Dir}
	file := func(x map[string]string) []tree.Entry {
		return []tree.Entry{root, {Path: "f", Type: tree.Fifo, Xattrs: x}}
	}
	for want, es := range map[string][]tree.Entry{
		"not even a root":                               nil,
		`"a/b": the folder that holds it`:               {root, {Path: "a/b", Type: tree.Dir}},
		`"a": the folder that holds it`:                 {{Path: "a", Type: tree.Dir}},
		"a name of more than 255":                       {root, {Path: strings.Repeat("n", 256), Type: tree.Dir}},
		"a target of 4096":                              {root, {Path: "l", Type: tree.Symlink, Target: strings.Repeat("t", 4096)}},
		"4095:1048575":                                  {root, {Path: "d", Type: tree.Char, Minor: 1 << 20}},
		`cannot hold the extended attribute "system.x"`: file(map[string]string{"system.x": ""}),
		`cannot hold the extended attribute "user."`:    file(map[string]string{"user.": ""}),
		"of 65536 bytes":                                file(map[string]string{"user.x": strings.Repeat("x", 65536)}),
	} {
		_, err := Plan(context.Background(), &tree.Manifest{Entries: es}, tree.Bytes{}, image.VolumeOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
	tr := imagetest.Trees()[3]
	if _, err := Plan(context.Background(), tr.Manifest, tr.Content, image.VolumeOptions{Label: strings.Repeat("l", 17)}); err == nil {
		t.Error("a label of 17 bytes is no error")
	}
}

// A directory of names of all lengths splits where the blocks are full.
func TestDirectoryBlocks(t *testing.T) {
	var names []name
	for i := range 1000 {
		n := fmt.Sprintf("%04d%s", i, strings.Repeat("n", i%251))
		names = append(names, name{n, &inode{e: &tree.Entry{Type: tree.File}, pos: int64(i) * 32}})
	}
	b := encodeDir(names)
	if int64(len(b)) != dirSize(names) {
		t.Fatalf("%d bytes, dirSize says %d", len(b), dirSize(names))
	}
	i := 0
	for ; len(b) > 0; b = b[min(len(b), blockSize):] {
		block := b[:min(len(b), blockSize)]
		count := int(binary.LittleEndian.Uint16(block[8:])) / direntSize
		for j := range count {
			at := int(binary.LittleEndian.Uint16(block[j*direntSize+8:]))
			end := len(block)
			if j+1 < count {
				end = int(binary.LittleEndian.Uint16(block[(j+1)*direntSize+8:]))
			}
			got, _, _ := bytes.Cut(block[at:end], []byte{0})
			if string(got) != names[i].name || binary.LittleEndian.Uint64(block[j*direntSize:]) != uint64(i) {
				t.Fatalf("name %d is %q, want %q", i, got, names[i].name)
			}
			i++
		}
	}
	if i != len(names) {
		t.Errorf("%d names, want %d", i, len(names))
	}
}
