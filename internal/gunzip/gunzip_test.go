package gunzip

import (
	"bytes"
	"compress/gzip"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"testing/iotest"

	fast "github.com/klauspost/compress/gzip"
)

func pack(t testing.TB, level int, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w, err := gzip.NewWriterLevel(&b, level)
		if err != nil {
			t.Fatal(err)
		}
		w.Name, w.Comment, w.Extra = "a name", "a comment", []byte("more")
		w.Write(p)
		w.Close()
	}
	return b.Bytes()
}

func unpack(r *Reader, src io.Reader) ([]byte, error) {
	r.Reset(src)
	return io.ReadAll(r)
}

// contents are of every kind that a decoder meets.
func contents(t testing.TB) map[string][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise, sparse, words := make([]byte, 700<<10), make([]byte, 3<<20), []byte{}
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for range 1000 {
		sparse[random.IntN(len(sparse))] = byte(random.Uint32())
	}
	for len(words) < 2<<20 {
		n := random.IntN(40000)
		at := random.IntN(max(len(words)-n, 1))
		words = append(append(words, words[at:min(at+n, len(words))]...), noise[:random.IntN(500)]...)
	}
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"nothing": nil, "one": {7}, "noise": noise, "sparse": sparse, "words": words, "program": program[:min(len(program), 4<<20)]}
}

func TestContents(t *testing.T) {
	var r Reader
	for name, data := range contents(t) {
		for _, level := range []int{gzip.HuffmanOnly, 0, 1, 6, 9} {
			packed := pack(t, level, data)
			for how, src := range map[string]io.Reader{
				"whole": bytes.NewReader(packed), "bytes": iotest.OneByteReader(bytes.NewReader(packed)), "early end": iotest.DataErrReader(bytes.NewReader(packed)),
			} {
				if got, err := unpack(&r, src); err != nil || !bytes.Equal(got, data) {
					t.Errorf("%s, level %d, %s: %d of %d bytes, %v", name, level, how, len(got), len(data), err)
				}
			}
		}
	}
	two := contents(t)
	packed := pack(t, 6, two["program"], nil, two["words"])
	if got, err := unpack(&r, bytes.NewReader(packed)); err != nil || !bytes.Equal(got, append(two["program"], two["words"]...)) {
		t.Errorf("three members: %d bytes, %v", len(got), err)
	}
}

func TestDamage(t *testing.T) {
	var r Reader
	data := []byte("some text, some text, some more text\n")
	packed := pack(t, 6, data)
	for i := range packed {
		if _, err := unpack(&r, bytes.NewReader(packed[:i])); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", i, len(packed), err)
		}
	}
	for i := len(packed) - 8; i < len(packed); i++ {
		harmed := bytes.Clone(packed)
		harmed[i] ^= 1
		if _, err := unpack(&r, bytes.NewReader(harmed)); !errors.Is(err, ErrChecksum) {
			t.Errorf("checksum, byte %d: %v", i, err)
		}
	}
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"no gzip": {[]byte("this is no gzip stream"), ErrHeader}, "noise behind it": {append(bytes.Clone(packed), "noise"...), ErrHeader},
		"a header's checksum": {append([]byte{0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 0, 1, 2}, packed[10:]...), ErrHeader},
		"an unknown block":    {append(bytes.Clone(packed[:10]), 7, 0, 0, 0, 0, 0, 0, 0, 0), nil},
	} {
		if _, err := unpack(&r, bytes.NewReader(c.data)); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	head := []byte{0x1f, 0x8b, 8, 2, 0, 0, 0, 0, 0, 0xff}
	sum := crc32.ChecksumIEEE(head)
	rest := pack(t, 6, data)
	rest = rest[bytes.Index(rest, []byte("comment\x00"))+8:]
	if got, err := unpack(&r, bytes.NewReader(append(append(head, byte(sum), byte(sum>>8)), rest...))); err != nil || !bytes.Equal(got, data) {
		t.Errorf("a header with its checksum: %q, %v", got, err)
	}
	broken := errors.New("the disk is gone")
	if _, err := unpack(&r, io.MultiReader(bytes.NewReader(packed[:20]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("a reader's error: %v", err)
	}
}

// Both decoders take the same streams, and make the same of them.
func FuzzAsStandard(f *testing.F) {
	text := bytes.Repeat([]byte("abcabcabdabcd"), 50)
	for _, level := range []int{gzip.HuffmanOnly, 0, 1, 9} {
		f.Add(pack(f, level, text))
		f.Add(pack(f, level, []byte("a"), text))
	}
	var ours Reader
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 16 << 20
		got, err := func() ([]byte, error) {
			ours.Reset(bytes.NewReader(data))
			return io.ReadAll(io.LimitReader(&ours, most))
		}()
		var want []byte
		z, werr := gzip.NewReader(bytes.NewReader(data))
		if werr == nil {
			want, werr = io.ReadAll(io.LimitReader(z, most))
		}
		if errors.Is(werr, gzip.ErrHeader) && err == nil {
			return // it wants short names in headers, in Latin letters
		}
		if (err == nil) != (werr == nil) || err == nil && !bytes.Equal(got, want) {
			t.Fatalf("ours: %d bytes, %v; standard: %d bytes, %v", len(got), err, len(want), werr)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	packed := pack(b, 9, contents(b)["program"])
	var ours Reader
	theirs := new(fast.Reader)
	buf := make([]byte, 128<<10)
	for name, open := range map[string]func() io.Reader{
		"ours":   func() io.Reader { ours.Reset(bytes.NewReader(packed)); return &ours },
		"theirs": func() io.Reader { theirs.Reset(bytes.NewReader(packed)); return theirs },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(4 << 20)
			for range b.N {
				if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, open(), buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
