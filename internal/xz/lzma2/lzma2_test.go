package lzma2

import (
	"bytes"
	"errors"
	"io"
	"math/rand"
	"testing"

	"github.com/ulikunitz/xz/lzma"
)

const testDict = 1 << 16

// encode compresses with another implementation.
func encode(t testing.TB, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := lzma.Writer2Config{DictCap: testDict}.NewWriter2(&out)
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

// decode reads at most limit bytes.
func decode(d *Decoder, in []byte, dict, size int64, limit int) ([]byte, error) {
	d.Reset(bytes.NewReader(in), dict, size)
	var out []byte
	for len(out) < limit {
		b, err := d.Next()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, b...)
	}
	return out, nil
}

// inputs are data of many kinds: random (stored chunks), repetitive (long
// matches), text, and a mixture larger than the window.
func inputs() map[string][]byte {
	r := rand.New(rand.NewSource(7))
	random := make([]byte, 300_000)
	r.Read(random)
	words := []string{"Package: ", "Version: ", "Depends: ", "libc6 (>= 2.34)", "\n", ", ", "slipway", "0123456789"}
	var text bytes.Buffer
	for text.Len() < 3_000_000 {
		text.WriteString(words[r.Intn(len(words))])
	}
	mixed := append(append(append([]byte{}, text.Bytes()[:70_000]...), random[:90_000]...), text.Bytes()...)
	return map[string][]byte{
		"empty": {}, "one": {7}, "random": random, "zeros": make([]byte, 5_000_000),
		"pairs": bytes.Repeat([]byte("ab"), 100_000), "text": text.Bytes(), "mixed": mixed,
	}
}

func TestAgainstAnotherEncoder(t *testing.T) {
	d := new(Decoder) // one for all: it must not remember
	for name, data := range inputs() {
		packed := encode(t, data)
		for _, size := range []int64{-1, int64(len(data)), 1} { // 1: a wrong size costs only memory
			got, err := decode(d, packed, testDict, size, 1<<30)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, size %d: got %d bytes, %v; want %d", name, size, len(got), err, len(data))
			}
		}
		if limit := 2*testDict + 2*chunkOut; cap(d.window) > limit {
			t.Errorf("%s: the window has %d bytes, more than %d", name, cap(d.window), limit)
		}
	}
}

func TestCutAndDamaged(t *testing.T) {
	data := inputs()["text"][:200_000]
	packed := encode(t, data)
	d := new(Decoder)
	for n := 0; n < len(packed); n += 97 {
		if _, err := decode(d, packed[:n], testDict, -1, 1<<30); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("cut at %d: got %v, want io.ErrUnexpectedEOF", n, err)
		}
	}
	found := 0
	for i := 6; i < len(packed); i += 31 {
		bad := bytes.Clone(packed)
		bad[i] ^= 0x10
		got, err := decode(d, bad, testDict, -1, 1<<22)
		if err == nil && bytes.Equal(got, data) {
			t.Errorf("byte %d flipped: the same data came out", i)
		}
		if err != nil {
			found++
		}
	}
	if found == 0 {
		t.Error("no flipped byte was noticed at all")
	}
}

func TestHeaders(t *testing.T) {
	cases := map[string][]byte{
		"stored without dictionary": {2, 0, 0, 'x', 0},
		"packed without dictionary": {0xa0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"unknown control":           {3, 0, 0},
		"bad properties":            {0xe0, 0, 0, 0, 9, 225},
		"lc and lp too large":       {0xe0, 0, 0, 0, 9, 4 + 9},
		"too short":                 {0xe0, 0, 0, 0, 3, 93, 0, 0, 0, 0},
		"range coder begins wrong":  {0xe0, 0, 0, 0, 5, 93, 1, 0, 0, 0, 0, 0},
		"match before any byte":     {0xe0, 0, 0, 0, 5, 93, 0, 0xff, 0xff, 0xff, 0xff, 0xff},
	}
	for name, in := range cases {
		if _, err := decode(new(Decoder), in, testDict, -1, 1<<20); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
	for properties, want := range map[byte]int64{0: 4096, 1: 6144, 22: 8 << 20, 28: 64 << 20, 40: 1<<32 - 1} {
		if got, err := DictSize(properties); got != want || err != nil {
			t.Errorf("dictionary size %d: got %d, %v; want %d", properties, got, err, want)
		}
	}
	if _, err := DictSize(41); err == nil {
		t.Error("dictionary size 41: no error")
	}
}

// FuzzDecoder wants no panic, bounded memory, and the bytes that another
// decoder gives, where both accept the input.
func FuzzDecoder(f *testing.F) {
	for _, data := range inputs() {
		f.Add(encode(f, data[:min(len(data), 2000)]))
	}
	f.Add([]byte{1, 0, 2, 'a', 'b', 'c', 0})
	d := new(Decoder)
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 8 << 20
		got, err := decode(d, in, testDict, -1, limit)
		if cap(d.window) > 2*testDict+2*chunkOut {
			t.Fatalf("the window has %d bytes", cap(d.window))
		}
		if err != nil || len(got) >= limit {
			return
		}
		r, err := lzma.Reader2Config{DictCap: testDict}.NewReader2(bytes.NewReader(in))
		if err != nil {
			return
		}
		if want, err := io.ReadAll(io.LimitReader(r, limit)); err == nil && !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, another decoder %d", len(got), len(want))
		}
	})
}
