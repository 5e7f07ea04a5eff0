package uki

import (
	"bytes"
	"context"
	"debug/pe"
	"encoding/binary"
	"errors"
	"io"
	"testing"
)

// program is an EFI program that is nothing but headers and one section.
func program() []byte {
	b := make([]byte, 0x600)
	put := func(at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
	copy(b, "MZ")
	put(60, 0x80)
	copy(b[0x80:], "PE\x00\x00")
	const coff, opt = 0x84, 0x84 + 20
	put(coff, 1<<16|0x8664)
	put(coff+16, 240)
	put(opt, 0x20b)
	put(opt+32, 0x1000)
	put(opt+36, 0x200)
	put(opt+56, 0x5000)
	put(opt+60, 0x400)
	put(opt+108, 16)
	copy(b[opt+240:], ".text")
	put(opt+248, 0x200)
	put(opt+252, 0x4000)
	put(opt+256, 0x200)
	put(opt+260, 0x400)
	return b
}

func part(b []byte, size int64) Part {
	return Part{size, func(_ context.Context, w io.Writer) error {
		for i := range b { // in pieces, as a writer of an image does
			if _, err := w.Write(b[i : i+1]); err != nil {
				return err
			}
		}
		return nil
	}}
}

func TestWrite(t *testing.T) {
	initrd := bytes.Repeat([]byte("070701"), 1000)
	var outputs [][]byte
	for _, size := range []int64{int64(len(initrd)), -1} {
		m := Image{Stub: program(), OSRelease: []byte("ID=x\n"), Cmdline: "root=ram", Uname: "6.1", Kernel: part(program(), 0x600), Initrd: part(initrd, size)}
		var b bytes.Buffer
		if err := m.Write(context.Background(), &b); err != nil {
			t.Fatalf("size %d: %v", size, err)
		}
		outputs = append(outputs, b.Bytes())
	}
	if !bytes.Equal(outputs[0], outputs[1]) {
		t.Error("an initramfs whose size is not known gives other bytes")
	}
	f, err := pe.NewFile(bytes.NewReader(outputs[0]))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Section(".initrd").Data(); err != nil || !bytes.HasPrefix(got, initrd) {
		t.Errorf("the initramfs differs (%v)", err)
	}
}

func TestErrorsOfParts(t *testing.T) {
	broken := errors.New("content is damaged")
	for _, size := range []int64{100, -1} {
		m := Image{Stub: program(), Kernel: part(program(), 0x600), Initrd: Part{size, func(context.Context, io.Writer) error { return broken }}}
		if err := m.Write(context.Background(), io.Discard); !errors.Is(err, broken) {
			t.Errorf("size %d: %v", size, err)
		}
	}
}
