package qcow2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"slipway/internal/image"
)

// stretch is some content at some place of a disk.
type stretch struct {
	at   int64
	data []byte
}

// sparse is a volume of stretches, written in awkward pieces.
type sparse struct {
	size int64
	data []stretch
}

func (s *sparse) Size() int64 { return s.size }
func (s *sparse) Write(_ context.Context, w io.Writer) error {
	at := int64(0)
	for _, d := range s.data {
		if err := image.Hole(w, d.at-at); err != nil {
			return err
		}
		for b := d.data; len(b) > 0; {
			n := min(len(b), 50001)
			if _, err := w.Write(b[:n]); err != nil {
				return err
			}
			b = b[n:]
		}
		at = d.at + int64(len(d.data))
	}
	return image.Hole(w, s.size-at)
}

func random(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func disks() map[string]*sparse {
	text := bytes.Repeat([]byte("all work and no play "), 200_000)
	return map[string]*sparse{
		"empty":  {size: 1 << 20},
		"none":   {},
		"odd":    {size: 100_001, data: []stretch{{99_990, []byte("end")}}},
		"zeros":  {size: 300_000, data: []stretch{{10, make([]byte, 200_000)}}},
		"mixed":  {size: 12 << 20, data: []stretch{{0, []byte("MBR")}, {70_000, random(1_000_000, 1)}, {3 << 20, text}, {12<<20 - 1, []byte("x")}}},
		"tables": {size: 3 << 30, data: []stretch{{5, []byte("a")}, {512<<20 - 1, []byte("bc")}, {2<<30 + 77, text[:300_000]}}},
	}
}

// writers are all ways in which an image can be written.
var writers = map[string]func(string, image.Volume) error{
	"stream":  func(name string, v image.Volume) error { return stream1(name, v) },
	"plain":   func(name string, v image.Volume) error { return at(name, v, None) },
	"deflate": func(name string, v image.Volume) error { return at(name, v, Deflate) },
	"zstd":    func(name string, v image.Volume) error { return at(name, v, Zstd) },
}

func stream1(name string, v image.Volume) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return Write(context.Background(), f, v)
}

func at(name string, v image.Volume, c Compression) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := WriteAt(context.Background(), f, v, c)
	if st, _ := f.Stat(); err == nil && st.Size() != n {
		err = fmt.Errorf("says %d bytes, has %d", n, st.Size())
	}
	return err
}

func open(t testing.TB, name string) *Image {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	st, _ := f.Stat()
	i, err := Open(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// raw writes a volume as a sparse file.
func raw(t *testing.T, v image.Volume) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "raw")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := v.Write(context.Background(), sparseFile{f}); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(v.Size()); err != nil {
		t.Fatal(err)
	}
	return name
}

type sparseFile struct{ *os.File }

// Hole implements image.Holer.
func (f sparseFile) Hole(n int64) error {
	_, err := f.Seek(n, io.SeekCurrent)
	return err
}

func qemuImg(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img (qemu-utils) is not installed")
	}
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestWrite(t *testing.T) {
	for kind, write := range writers {
		for disk, v := range disks() {
			t.Run(kind+"/"+disk, func(t *testing.T) {
				name := filepath.Join(t.TempDir(), "x.qcow2")
				if err := write(name, v); err != nil {
					t.Fatal(err)
				}
				again := name + "2"
				cpus := runtime.GOMAXPROCS(5)
				err := write(again, v)
				runtime.GOMAXPROCS(cpus)
				if err != nil {
					t.Fatal(err)
				}
				a, _ := os.ReadFile(name)
				b, _ := os.ReadFile(again)
				if !bytes.Equal(a, b) {
					t.Error("other bytes the second time")
				}
				i := open(t, name)
				if i.Size() != (v.Size()+511)&^511 || i.Backing != "" || i.Version != 3 {
					t.Errorf("%+v", i)
				}
				if v.size < 1<<30 {
					readBack(t, i, v)
				}
				judge(t, name, v)
			})
		}
	}
}

func readBack(t *testing.T, i *Image, v *sparse) {
	t.Helper()
	var got, want bytes.Buffer
	if err := i.Write(context.Background(), &got); err != nil {
		t.Fatal(err)
	}
	v.Write(context.Background(), &want)
	want.Write(make([]byte, got.Len()-want.Len()))
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Error("read back is another disk")
	}
}

func judge(t *testing.T, name string, v *sparse) {
	t.Helper()
	if out := qemuImg(t, "check", "-f", "qcow2", name); !strings.Contains(out, "No errors were found") {
		t.Error(out)
	}
	if v.size == 0 {
		return
	}
	qemuImg(t, "compare", "-f", "qcow2", "-F", "raw", name, raw(t, v))
}

// TestRead reads what qemu-img wrote.
func TestRead(t *testing.T) {
	v := disks()["mixed"]
	source := raw(t, v)
	for _, opts := range [][]string{
		{}, {"-c"}, {"-c", "-o", "compression_type=zstd"}, {"-o", "compat=0.10"}, {"-c", "-o", "cluster_size=4k"},
		{"-o", "cluster_size=512"}, {"-c", "-o", "cluster_size=2M"}, {"-o", "preallocation=metadata"},
	} {
		t.Run(strings.Join(opts, " "), func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "x.qcow2")
			qemuImg(t, append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, opts...), source, name)...)
			i := open(t, name)
			readBack(t, i, v)
			n, err := i.Allocated(context.Background())
			if err != nil || n < 5_000_000 || n > i.Size() {
				t.Errorf("%d bytes allocated, %v", n, err)
			}
		})
	}
}

// What an overlay hides reads as zeros, to the byte.
func TestOverlayHiding(t *testing.T) {
	tool, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("no qemu-img on this host")
	}
	dir := t.TempDir()
	const size = 5 << 20
	want := bytes.Repeat([]byte{0xa5}, size)
	if err := os.WriteFile(filepath.Join(dir, "base.raw"), want, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := OverlayHiding(filepath.Join(dir, "x"), "base.raw", "raw", 0, Range{1 << 20, 1 << 20}, Range{3<<20 + 1, clusterSize * 2}); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "x"}, {"convert", "-O", "raw", "x", "out"}} {
		cmd := exec.Command(tool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("qemu-img %s: %v\n%s", args[0], err, out)
		}
	}
	clear(want[1<<20 : 2<<20])
	clear(want[3<<20+clusterSize : 3<<20+2*clusterSize])
	got, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was hidden is seen, or more than that is hidden: %v", err)
	}
}

func TestOverlay(t *testing.T) {
	dir := t.TempDir()
	v := disks()["mixed"]
	if err := at(filepath.Join(dir, "base.qcow2"), v, Zstd); err != nil {
		t.Fatal(err)
	}
	os.Rename(raw(t, v), filepath.Join(dir, "base.raw"))
	for _, format := range []string{"raw", "qcow2"} {
		for _, size := range []int64{0, 20 << 20, 600 << 30} {
			name := filepath.Join(dir, fmt.Sprint(format, size))
			if err := Overlay(name, "base."+format, format, size); err != nil {
				t.Fatal(err)
			}
			i := open(t, name)
			if want := max(size, v.size); i.Size() != want || i.Backing != "base."+format || i.BackingFormat != format {
				t.Errorf("%+v", i)
			}
			if err := i.Write(context.Background(), io.Discard); err == nil || !strings.Contains(err.Error(), "base."+format) {
				t.Error("an overlay was read as if it were whole:", err)
			}
			if st, _ := os.Stat(name); st.Size() > 512<<10 {
				t.Errorf("an empty overlay has %d bytes", st.Size())
			}
			if err := Overlay(name, "base."+format, format, size); !errors.Is(err, os.ErrExist) {
				t.Error("an overlay was made anew:", err)
			}
			var info struct {
				Backing string `json:"backing-filename"`
				Format  string `json:"backing-filename-format"`
			}
			json.Unmarshal([]byte(qemuImg(t, "info", "--output=json", name)), &info)
			if info.Backing != "base."+format || info.Format != format {
				t.Errorf("qemu-img says %+v", info)
			}
			if out := qemuImg(t, "check", name); !strings.Contains(out, "No errors") {
				t.Error(out)
			}
			if size < 1<<30 {
				qemuImg(t, "compare", "-F", "raw", name, filepath.Join(dir, "base.raw"))
			}
		}
	}
	if err := Overlay(filepath.Join(dir, "x"), "gone.raw", "raw", 0); !errors.Is(err, os.ErrNotExist) {
		t.Error("over nothing:", err)
	}
	if err := Overlay(filepath.Join(dir, "x"), "base.raw", "vmdk", 0); err == nil {
		t.Error("a format that is not there")
	}
}

type failing struct{ after int }

var errFull = errors.New("full")

func (f *failing) Write(b []byte) (int, error) { return f.take(len(b)) }
func (f *failing) WriteAt(b []byte, _ int64) (int, error) {
	return f.take(len(b))
}
func (f *failing) take(n int) (int, error) {
	if f.after -= n; f.after < 0 {
		return 0, errFull
	}
	return n, nil
}

// changing writes something else each time.
type changing struct {
	sparse
	n int
}

func (c *changing) Write(ctx context.Context, w io.Writer) error {
	c.n++
	s := sparse{c.size, c.data[:c.n]}
	return s.Write(ctx, w)
}

func TestErrors(t *testing.T) {
	v := disks()["mixed"]
	for _, after := range []int{0, 100_000, 1_000_000, 3_000_000} {
		if err := Write(context.Background(), &failing{after}, v); !errors.Is(err, errFull) {
			t.Error(after, err)
		}
		for _, c := range []Compression{None, Zstd, Deflate} {
			if c != None {
				after /= 4
			}
			if _, err := WriteAt(context.Background(), &failing{after}, v, c); !errors.Is(err, errFull) {
				t.Error(after, c, err)
			}
		}
	}
	if err := Write(context.Background(), io.Discard, &changing{sparse: *v}); err == nil || !strings.Contains(err.Error(), "second time") {
		t.Error("a volume that changes:", err)
	}
	if err := Write(context.Background(), io.Discard, &sparse{size: 1 << 52}); err == nil {
		t.Error("a disk that is too large")
	}
	if _, err := Open(bytes.NewReader(make([]byte, 1000)), 1000); !errors.Is(err, ErrNoImage) {
		t.Error("zeros:", err)
	}
	for name, tt := range map[string]struct {
		change func([]byte)
		want   string
	}{
		"encrypted": {func(b []byte) { b[35] = 2 }, "encrypted"},
		"corrupt":   {func(b []byte) { b[79] = 2 }, "corrupt"},
		"external":  {func(b []byte) { b[79] = 4 }, "another file"},
		"subclust":  {func(b []byte) { b[79] = 16 }, "0x10"},
		"version":   {func(b []byte) { b[7] = 9 }, "version 9"},
		"clusters":  {func(b []byte) { b[23] = 30 }, "1<<30"},
		"l1":        {func(b []byte) { b[44] = 1 }, "first table"},
		"size":      {func(b []byte) { b[24] = 1 }, "first table"},
	} {
		b := tiny(t)
		tt.change(b)
		if _, err := Open(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func tiny(t testing.TB) []byte {
	var b bytes.Buffer
	if err := Write(context.Background(), &b, &sparse{size: 100_000, data: []stretch{{0, []byte("x")}}}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// limited counts what is written, and stops at some amount.
type limited struct{ left int64 }

func (l *limited) Write(b []byte) (int, error) { return len(b), l.Hole(int64(len(b))) }
func (l *limited) Hole(n int64) error {
	if l.left -= n; l.left < 0 {
		return errFull
	}
	return nil
}

func FuzzOpen(f *testing.F) {
	f.Add(tiny(f))
	for _, c := range []Compression{None, Deflate, Zstd} {
		name := filepath.Join(f.TempDir(), "x")
		if err := at(name, &sparse{size: 100_000, data: []stretch{{0, bytes.Repeat([]byte("x"), 200)}}}, c); err != nil {
			f.Fatal(err)
		}
		b, _ := os.ReadFile(name)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil || i.Size() > 1<<40 {
			return
		}
		ctx := context.Background()
		n, err := i.Allocated(ctx)
		if err == nil && n > i.Size() {
			t.Fatalf("%d of %d bytes allocated", n, i.Size())
		}
		out := &limited{left: 16 << 20}
		if err := i.Write(ctx, out); err == nil && 16<<20-out.left != i.Size() {
			t.Fatalf("wrote %d of %d bytes", 16<<20-out.left, i.Size())
		}
	})
}
