package compress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"testing"
)

func data(n int) []byte {
	r, b := rand.New(rand.NewPCG(1, 2)), make([]byte, n)
	for i := range b {
		if i%1000 < 400 {
			b[i] = byte(r.Uint32())
		}
	}
	return b
}

func smallPieces(t *testing.T) {
	g, x := gzipPiece, xzPiece
	gzipPiece, xzPiece = 50_000, 100_000
	t.Cleanup(func() { gzipPiece, xzPiece = g, x })
}

func pack(t *testing.T, f Format, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := f.Writer(&out)
	if err != nil {
		t.Fatal(err)
	}
	for len(b) > 0 { // in uneven pieces
		n, err := w.Write(b[:min(len(b), 77_777)])
		if err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var tools = map[Format]string{Zstd: "zstd", Gzip: "gzip", XZ: "xz"}

func TestRoundTrip(t *testing.T) {
	smallPieces(t)
	for f, tool := range tools {
		for _, n := range []int{0, 1, 49_999, 50_000, 200_000, 1_234_567} {
			want := data(n)
			z := pack(t, f, want)
			r, err := Reader(bytes.NewReader(z))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: read back %d bytes, %v", f, n, len(got), err)
			}
			if _, err := exec.LookPath(tool); err != nil {
				t.Skip(err)
			}
			cmd := exec.Command(tool, "-dc")
			cmd.Stdin = bytes.NewReader(z)
			if got, err = cmd.Output(); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: %s gave %d bytes, %v", f, n, tool, len(got), err)
			}
		}
	}
}

// The bytes are the same on any number of CPUs; zstd needs several of its
// pieces for that to say something.
func TestSameBytesOnAnyMachine(t *testing.T) {
	smallPieces(t)
	for f := range tools {
		src := data(700_000)
		if f == Zstd {
			src = data(20 << 20)
		}
		var first []byte
		for _, n := range []int{1, 2, 5, 16} {
			old := runtime.GOMAXPROCS(n)
			z := pack(t, f, src)
			runtime.GOMAXPROCS(old)
			if first == nil {
				first = z
			} else if !bytes.Equal(first, z) {
				t.Errorf("%s: other bytes with %d CPUs", f, n)
			}
		}
	}
}

// One xz stream, one gzip member, one zstd frame: the kernel reads no second.
func TestOneStream(t *testing.T) {
	smallPieces(t)
	out, err := exec.Command("xz", "--version").Output()
	if err != nil {
		t.Skip(err)
	}
	_ = out
	cmd := exec.Command("xz", "--decompress", "--single-stream", "--stdout")
	cmd.Stdin = bytes.NewReader(pack(t, XZ, data(450_000)))
	if got, err := cmd.Output(); err != nil || len(got) != 450_000 {
		t.Errorf("xz --single-stream gave %d bytes, %v", len(got), err)
	}
}

type full struct{ left int }

var errFull = errors.New("full")

func (f *full) Write(b []byte) (int, error) {
	if f.left -= len(b); f.left < 0 {
		return 0, errFull
	}
	return len(b), nil
}

func TestErrors(t *testing.T) {
	smallPieces(t)
	for f := range tools {
		w, err := f.Writer(&full{left: 20})
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Write(data(1 << 20))
		if err2 := w.Close(); !errors.Is(err, errFull) && !errors.Is(err2, errFull) {
			t.Errorf("%s: full output gave %v, %v", f, err, err2)
		}
		w.Close()
	}
	if _, err := Format("lzma").Writer(io.Discard); err == nil {
		t.Error("an unknown format is no error")
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00"))
	f.Add([]byte("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"))
	f.Add([]byte(xzMagic + xzFlags))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := Reader(bytes.NewReader(b)); err == nil {
			io.CopyN(io.Discard, r, 1<<20)
			r.Close()
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	src := data(32 << 20)
	for _, f := range []Format{Zstd, Gzip} {
		b.Run(fmt.Sprint(f), func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			for range b.N {
				w, _ := f.Writer(io.Discard)
				w.Write(src)
				w.Close()
			}
		})
	}
}
