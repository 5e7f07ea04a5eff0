package archived

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

var errOver = errors.New("too large")

func TestBound(t *testing.T) {
	for _, c := range []struct{ size, total, ratio, allowed int64 }{
		{100, 10, 5, 10},                     // the total alone
		{1 << 20, 1 << 40, 10, 74 << 20},     // the ratio, and what is free
		{1 << 61, 1 << 30, 1 << 20, 1 << 30}, // a product that does not fit
		{0, 1 << 40, 1, 64 << 20},            // nothing compressed
	} {
		r := Bound(zeros{}, c.size, c.total, c.ratio, errOver)
		n, err := io.Copy(io.Discard, r)
		if !errors.Is(err, errOver) || n > c.allowed || n < c.allowed-1<<16 || r.N != c.allowed+1 {
			t.Errorf("%+v: %d bytes, %d counted, %v", c, n, r.N, err)
		}
	}
	r := Bound(strings.NewReader("0123456789"), 10, 10, 1, errOver)
	if data, err := io.ReadAll(r); err != nil || len(data) != 10 || r.N != 10 {
		t.Errorf("exactly the bound: %d bytes, %v", len(data), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestEach(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"a", "b", "c"} {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	b.WriteString("behind it")
	names := ""
	do := func(h *tar.Header, _ io.Reader) error { names += h.Name; return nil }
	r := bytes.NewReader(b.Bytes())
	if err := Each(t.Context(), r, 3, errOver, do); err != nil || names != "abc" || r.Len() != 0 {
		t.Errorf("%v, %q, %d bytes left", err, names, r.Len())
	}
	if err := Each(t.Context(), bytes.NewReader(b.Bytes()), 2, errOver, do); !errors.Is(err, errOver) {
		t.Errorf("one too many: %v", err)
	}
	if err := Each(t.Context(), bytes.NewReader(b.Bytes()[:700]), 9, errOver, do); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut short: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Each(ctx, r, 9, errOver, do); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOr(t *testing.T) {
	d := Limits{1, 2, 3, 4, 5}
	if got := (Limits{}).Or(d); got != d {
		t.Errorf("got %+v", got)
	}
	if got := (Limits{Entries: 9}).Or(d); got != (Limits{9, 2, 3, 4, 5}) {
		t.Errorf("got %+v", got)
	}
}
