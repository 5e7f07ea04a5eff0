// Package uki writes a machine as one EFI program: its kernel, command line
// and an initramfs that holds the whole root, joined in a unified kernel image
// (suffix .efi). Firmware starts it from a USB stick as EFI/BOOT/BOOTX64.EFI,
// from a boot menu, or over HTTP.
//
// The format itself is package bootfiles/uki; this one feeds it with contents
// that are made while they are written. Unlike other formats it does not begin
// with a tree: what the parts are, package boot says. A file holds less than
// 2 GiB.
package uki

import (
	"context"
	"fmt"
	"io"
	"os"

	"slipway/internal/bootfiles/uki"
)

// Part is a file that is made when it is written, with the same bytes each
// time. Size is -1 if only writing tells it.
type Part struct {
	Size  int64
	Write func(ctx context.Context, w io.Writer) error
}

// Image is what the program is made of.
type Image struct {
	Stub      []byte // systemd's linuxx64.efi.stub
	OSRelease []byte
	Cmdline   string
	Uname     string
	Kernel    Part
	Initrd    Part
}

// Write writes the program.
func (m *Image) Write(ctx context.Context, w io.Writer) error {
	out := uki.Image{Stub: m.Stub, OSRelease: m.OSRelease, Cmdline: m.Cmdline, Uname: m.Uname, Kernel: m.Kernel.stream(ctx)}
	initrd := m.Initrd
	if initrd.Size < 0 {
		spooled, err := spool(ctx, initrd)
		if err != nil {
			return err
		}
		defer spooled.Close()
		out.Initrd = spooled.part()
	} else if initrd.Size > 0 {
		out.Initrd = initrd.stream(ctx)
	}
	return out.Write(w)
}

// stream reads a part while it is made.
func (p Part) stream(ctx context.Context) uki.Part {
	return uki.Part{Size: p.Size, Open: func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() { w.CloseWithError(p.Write(ctx, w)) }()
		return r, nil // closing it ends the writer
	}}
}

// spooled is a part in a temporary file that has no name.
type spooled struct {
	*os.File
	size int64
}

func spool(ctx context.Context, p Part) (*spooled, error) {
	f, err := os.CreateTemp("", "slipway-initrd-")
	if err != nil {
		return nil, fmt.Errorf("keeping the initramfs of an EFI program: %w", err)
	}
	s := &spooled{File: f}
	err = os.Remove(f.Name())
	if err == nil {
		err = p.Write(ctx, f)
	}
	if err == nil {
		s.size, err = f.Seek(0, io.SeekCurrent)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("keeping the initramfs of an EFI program: %w", err)
	}
	return s, nil
}

func (s *spooled) part() uki.Part {
	return uki.Part{Size: s.size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(s.File, 0, s.size)), nil
	}}
}
