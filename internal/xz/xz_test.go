package xz

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"os/exec"
	"runtime"
	"testing"

	writer "github.com/ulikunitz/xz"
)

// compress makes a stream of blocks of at most blockSize bytes.
func compress(t testing.TB, data []byte, blockSize int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := writer.WriterConfig{BlockSize: blockSize, DictCap: 1 << 16}.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sample is compressible but not trivial.
func sample(n int) []byte {
	r := rand.New(rand.NewSource(1))
	b := make([]byte, n)
	for i := range b {
		b[i] = "slipway "[r.Intn(8)]
	}
	return b
}

func readSerial(b []byte) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func readParallel(b []byte) ([]byte, error) {
	r, err := NewParallelReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func TestReaders(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	data := sample(900_000)
	padding := make([]byte, 8)
	one, many := compress(t, data, 1<<40), compress(t, data, 100_000)
	cases := map[string]struct{ in, want []byte }{
		"empty":        {compress(t, nil, 1<<20), []byte{}},
		"one block":    {one, data},
		"many blocks":  {many, data},
		"two streams":  {append(append([]byte{}, many...), one...), append(append([]byte{}, data...), data...)},
		"with padding": {append(append(append([]byte{}, many...), padding...), many...), append(append([]byte{}, data...), data...)},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for way, read := range map[string]func([]byte) ([]byte, error){"serial": readSerial, "parallel": readParallel} {
				got, err := read(c.in)
				if err != nil || !bytes.Equal(got, c.want) {
					t.Errorf("%s: got %d bytes, %v; want %d bytes", way, len(got), err, len(c.want))
				}
			}
		})
	}
}

func TestListBlocks(t *testing.T) {
	many := compress(t, sample(250_000), 100_000)
	blocks, err := listBlocks(bytes.NewReader(many), int64(len(many)))
	if err != nil || len(blocks) != 3 {
		t.Fatalf("got %d blocks, %v; want 3", len(blocks), err)
	}
	if blocks[0].offset != headerLen || blocks[2].size != 50_000 {
		t.Errorf("got first offset %d, last size %d; want 12, 50000", blocks[0].offset, blocks[2].size)
	}
}

func TestDamage(t *testing.T) {
	many := compress(t, sample(300_000), 50_000)
	for i := 0; i < len(many); i += len(many)/37 + 1 {
		flipped := append([]byte{}, many...)
		flipped[i] ^= 0x20
		for way, read := range map[string]func([]byte) ([]byte, error){"serial": readSerial, "parallel": readParallel} {
			if _, err := read(flipped); err == nil {
				t.Errorf("%s: byte %d flipped: no error", way, i)
			}
			if _, err := read(many[:i]); err == nil {
				t.Errorf("%s: cut at %d: no error", way, i)
			}
		}
	}
	if _, err := readSerial(many[:len(many)/2]); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut in half: got %v, want ErrTruncated", err)
	}
}

// TestCloseEarly closes readers with work under way; the race detector and a
// hang are what it looks for.
func TestCloseEarly(t *testing.T) {
	many := compress(t, sample(500_000), 10_000)
	for n := range 20 {
		r, err := NewParallelReader(bytes.NewReader(many), int64(len(many)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, int64(n*10_000)); err != nil {
			t.Fatal(err)
		}
		r.Close()
		r.Close()
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
			t.Fatalf("read after close: got %v, want ErrClosed", err)
		}
	}
}

func TestAgainstTool(t *testing.T) {
	tool, err := exec.LookPath("xz")
	if err != nil {
		t.Skip("no xz tool to compare with")
	}
	data := sample(1 << 20)
	for _, args := range [][]string{{"-T2", "--block-size=200KiB"}, {"-9e"}, {"-1", "--check=none"}, {"--x86", "--lzma2"}, {"-T2", "--check=sha256", "--block-size=300KiB"}} {
		cmd := exec.Command(tool, append(args, "-c")...)
		cmd.Stdin = bytes.NewReader(data)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		for way, read := range map[string]func([]byte) ([]byte, error){"serial": readSerial, "parallel": readParallel} {
			if got, err := read(packed); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%v, %s: got %d bytes, %v", args, way, len(got), err)
			}
		}
	}
}

// FuzzReaders wants both readers to agree on every input, and no panic.
func FuzzReaders(f *testing.F) {
	f.Add(compress(f, []byte("slipway"), 1<<20))
	f.Add(compress(f, sample(3000), 1000))
	f.Add(append(compress(f, sample(300), 100), 0, 0, 0, 0))
	f.Add([]byte{0xfd, '7', 'z', 'X', 'Z', 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		a, errA := limited(NewReader(bytes.NewReader(in)))
		b, errB := limited(NewParallelReader(bytes.NewReader(in), int64(len(in))))
		if errA == nil && errB == nil && !bytes.Equal(a, b) {
			t.Errorf("serial gives %d bytes, parallel %d", len(a), len(b))
		}
		if errA == nil && errB != nil {
			t.Errorf("only the parallel reader fails: %v", errB)
		}
	})
}

// limited reads at most 1 MiB.
func limited[R io.ReadCloser](r R, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 1<<20))
}
