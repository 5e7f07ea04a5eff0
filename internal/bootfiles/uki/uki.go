// Package uki assembles unified kernel images: one EFI program that holds a
// kernel, its initramfs and its command line, as the UAPI group's
// specification says (uapi-group.org, "Unified Kernel Image"). The program is
// systemd's stub, a PE/COFF file that is given; the parts become sections of
// it (Microsoft's "PE Format").
//
// It signs nothing: a signature of the stub is dropped, since it is not one of
// the image, and Secure Boot needs a signature made afterwards.
package uki

import (
	"bytes"
	"fmt"
	"io"
)

// Part is a piece that is read when it is written. Open is called twice: the
// checksum stands before what it sums up.
type Part struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// Bytes is a part in memory.
func Bytes(b []byte) Part {
	return Part{int64(len(b)), func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// Image is what a unified kernel image is made of. Parts of size 0 are left
// out; Stub and Kernel are required.
type Image struct {
	Stub      []byte // linuxx64.efi.stub
	OSRelease []byte // content of os-release
	Cmdline   string
	Uname     string // uname -r of the kernel
	Splash    []byte // a BMP picture
	Initrd    Part
	Kernel    Part
}

// Write writes the image. Equal parts give equal bytes.
func (m *Image) Write(w io.Writer) error {
	l, err := m.layout()
	if err != nil {
		return fmt.Errorf("assembling a unified kernel image: %w", err)
	}
	sum := &checksum{skip: l.stub.sumOffset()}
	if err := l.write(sum); err != nil {
		return fmt.Errorf("assembling a unified kernel image: %w", err)
	}
	l.stub.setChecksum(sum.value())
	if err := l.write(w); err != nil {
		return fmt.Errorf("writing a unified kernel image: %w", err)
	}
	return nil
}

// Size is the size of the file in bytes.
func (m *Image) Size() (int64, error) {
	l, err := m.layout()
	if err != nil {
		return 0, fmt.Errorf("assembling a unified kernel image: %w", err)
	}
	return l.end, nil
}

// sections lists what is added to the stub. The kernel comes last, because
// older stubs run it in its place, where it unpacks itself beyond its end.
func (m *Image) sections() ([]section, error) {
	var all []section
	add := func(name string, p Part) {
		if p.Size > 0 {
			all = append(all, section{name: name, part: p, memory: p.Size})
		}
	}
	add(".osrel", Bytes(m.OSRelease))
	add(".cmdline", Bytes([]byte(m.Cmdline)))
	add(".uname", Bytes([]byte(m.Uname)))
	add(".splash", Bytes(m.Splash))
	add(".initrd", m.Initrd)
	room, err := imageSize(m.Kernel)
	if err != nil {
		return nil, err
	}
	return append(all, section{name: ".linux", part: m.Kernel, memory: max(room, m.Kernel.Size)}), nil
}

// imageSize asks a kernel how much memory it takes where it is loaded.
func imageSize(kernel Part) (int64, error) {
	if kernel.Size == 0 {
		return 0, fmt.Errorf("there is no kernel")
	}
	r, err := kernel.Open()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	head := make([]byte, min(kernel.Size, 4096))
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, fmt.Errorf("reading the kernel: %w", err)
	}
	p, err := parse(head)
	if err != nil {
		return 0, fmt.Errorf("the kernel is no EFI program (a kernel without CONFIG_EFI_STUB?): %w", err)
	}
	return int64(p.get32(p.opt + offSizeOfImage)), nil
}
