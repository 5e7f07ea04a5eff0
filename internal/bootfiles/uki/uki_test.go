package uki

import (
	"bytes"
	debugpe "debug/pe"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program makes a PE32+ file with two sections. A tight one has no room for
// more headers before its first section.
func program(tight bool, alignment uint32, imageSize uint32) []byte {
	first := uint32(0x400)
	if tight {
		first = 0x200
	}
	b := make([]byte, first+0x400)
	put := func(at int, v uint32) { binary.LittleEndian.PutUint32(b[at:], v) }
	copy(b, "MZ")
	put(60, 0x40)
	copy(b[0x40:], "PE\x00\x00")
	coff := 0x44
	put(coff, 2<<16|0x8664) // two sections, x86-64
	put(coff+8, 0x1000)     // symbols that nobody needs
	put(coff+12, 3)
	put(coff+16, 240)
	opt := coff + 20
	put(opt, 0x20b)
	put(opt+offSectionAlignment, alignment)
	put(opt+offFileAlignment, 0x200)
	put(opt+offSizeOfImage, imageSize)
	put(opt+offSizeOfHeaders, 0x200)
	put(opt+108, 16)                 // data directories
	put(opt+112+certificates*8, 100) // a signature
	put(opt+112+certificates*8+4, 50)
	for i, name := range []string{".text", ".data"} {
		at := opt + 240 + i*40
		copy(b[at:], name)
		put(at+8, 0x1f0)
		put(at+12, 0x4000+uint32(i)*0x1000)
		put(at+16, 0x200)
		put(at+20, first+uint32(i)*0x200)
		copy(b[first+uint32(i)*0x200:], strings.Repeat(name, 40))
	}
	return append(b, "signature behind the sections"...)
}

func image() *Image {
	kernel := append(program(false, 0x1000, 0x5000), bytes.Repeat([]byte("kernel"), 1000)...)
	return &Image{
		Stub: program(false, 0x200, 0x6000), OSRelease: []byte("ID=debian\n"), Cmdline: "root=ram quiet", Uname: "6.1.0",
		Splash: []byte("BM"), Initrd: Bytes(bytes.Repeat([]byte("07070"), 777)), Kernel: Bytes(kernel),
	}
}

func build(t *testing.T, m *Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	if size, err := m.Size(); err != nil || size != int64(b.Len()) {
		t.Fatalf("size %d, %v, want %d", size, err, b.Len())
	}
	return b.Bytes()
}

func TestSections(t *testing.T) {
	for name, stub := range map[string][]byte{
		"room": program(false, 0x200, 0x6000), "tight": program(true, 0x1000, 0x6000),
	} {
		m := image()
		m.Stub = stub
		checkImage(t, name, m, build(t, m))
	}
}

func checkImage(t *testing.T, name string, m *Image, data []byte) {
	t.Helper()
	f, err := debugpe.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	h := f.OptionalHeader.(*debugpe.OptionalHeader64)
	end := uint32(0)
	var order []string
	for i, s := range f.Sections {
		order = append(order, s.Name)
		if s.VirtualAddress < end || s.VirtualAddress%h.SectionAlignment != 0 || s.Offset%h.FileAlignment != 0 || s.Size%h.FileAlignment != 0 {
			t.Errorf("%s: section %s at %#x (file %#x, %#x bytes) overlaps or is not aligned", name, s.Name, s.VirtualAddress, s.Offset, s.Size)
		}
		if i >= 2 && (s.VirtualAddress%page != 0 || s.Characteristics != 0x40000040) {
			t.Errorf("%s: section %s at %#x, %#x", name, s.Name, s.VirtualAddress, s.Characteristics)
		}
		end = s.VirtualAddress + s.VirtualSize
	}
	if got := strings.Join(order, " "); got != ".text .data .osrel .cmdline .uname .splash .initrd .linux" {
		t.Errorf("%s: sections %s", name, got)
	}
	if h.SizeOfImage < end || h.SizeOfImage-end >= page || int(h.SizeOfHeaders) > int(f.Sections[0].Offset) {
		t.Errorf("%s: image of %#x bytes, its last section ends at %#x, headers %#x", name, h.SizeOfImage, end, h.SizeOfHeaders)
	}
	if d := h.DataDirectory[certificates]; d.VirtualAddress != 0 || d.Size != 0 || f.PointerToSymbolTable != 0 {
		t.Errorf("%s: signature %+v, symbols at %d", name, d, f.PointerToSymbolTable)
	}
	kernel, _ := readAll(m.Kernel)
	initrd, _ := readAll(m.Initrd)
	for section, want := range map[string]string{
		".osrel": string(m.OSRelease), ".cmdline": m.Cmdline, ".uname": m.Uname, ".splash": string(m.Splash), ".initrd": initrd, ".linux": kernel,
	} {
		s := f.Section(section)
		got, err := s.Data()
		if err != nil || len(got) < len(want) || string(got[:len(want)]) != want {
			t.Errorf("%s: content of %s differs (%v)", name, section, err)
		}
		if size := s.VirtualSize; section != ".linux" && int(size) != len(want) {
			t.Errorf("%s: %s has %d bytes in memory, want %d", name, section, size, len(want))
		}
	}
	if got := f.Section(".linux").VirtualSize; got < 0x5000 {
		t.Errorf("%s: the kernel has %#x bytes in memory, and wants 0x5000", name, got)
	}
	if got, _ := f.Sections[0].Data(); !bytes.HasPrefix(got, []byte(".text.text")) {
		t.Errorf("%s: the stub's code moved", name)
	}
	if got, want := h.CheckSum, plainSum(data); got != want {
		t.Errorf("%s: checksum %#x, want %#x", name, got, want)
	}
}

func readAll(p Part) (string, error) {
	r, err := p.Open()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(r)
	return string(b), err
}

// plainSum is the checksum by the letter of its definition.
func plainSum(data []byte) uint32 {
	at := int(binary.LittleEndian.Uint32(data[60:])) + 4 + 20 + 64
	data = append(bytes.Clone(data), 0)
	var sum uint32
	for i := 0; i+1 < len(data); i += 2 {
		if i != at && i != at+2 {
			sum += uint32(binary.LittleEndian.Uint16(data[i:]))
			sum = sum&0xffff + sum>>16
		}
	}
	return sum + uint32(len(data)-1)
}

// However the bytes come, the sum is the same.
func TestChecksumInPieces(t *testing.T) {
	data := program(true, 512, 512)
	for i := range data {
		data[i] ^= byte(i * 7)
	}
	at := int64(0x44 + 20 + 64)
	binary.LittleEndian.PutUint32(data[60:], 0x40)
	for _, piece := range []int{1, 3, 8, 17, 100, len(data)} {
		c := &checksum{skip: at}
		for rest := data; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			c.Write(rest[:min(piece, len(rest))])
		}
		if got, want := c.value(), plainSum(data); got != want {
			t.Errorf("in pieces of %d: %#x, want %#x", piece, got, want)
		}
	}
}

func TestSameBytes(t *testing.T) {
	if !bytes.Equal(build(t, image()), build(t, image())) {
		t.Error("two images of the same parts differ")
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Image)
		want   string
	}{
		{"no stub", func(m *Image) { m.Stub = nil }, "stub is no PE file: it does not begin with MZ"},
		{"half a stub", func(m *Image) { m.Stub = m.Stub[:0x60] }, "lies beyond its 96 bytes"},
		{"cut stub", func(m *Image) { m.Stub = m.Stub[:0x500] }, "do not lie behind its headers"},
		{"no kernel", func(m *Image) { m.Kernel = Part{} }, "there is no kernel"},
		{"a kernel without EFI", func(m *Image) { m.Kernel = Bytes([]byte("\x7fELF")) }, "CONFIG_EFI_STUB"},
		{"too large", func(m *Image) { m.Initrd.Size = 3 << 30 }, "larger than 2 GiB"},
		{"short", func(m *Image) { m.Initrd.Size++ }, "section .initrd: got 3885 bytes, want 3886"},
		{"unreadable", func(m *Image) {
			m.Initrd.Open = func() (io.ReadCloser, error) { return nil, os.ErrPermission }
		}, "permission denied"},
	} {
		m := image()
		c.change(m)
		if err := m.Write(io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// objdump reads the image too.
func TestObjdump(t *testing.T) {
	tool, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("objdump is not installed")
	}
	file := filepath.Join(t.TempDir(), "x.efi")
	if err := os.WriteFile(file, build(t, image()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, "-h", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), ".linux") || !strings.Contains(string(out), "pei-x86-64") {
		t.Errorf("%v: %s", err, out)
	}
}

// Any stub gives an error or a PE file.
func FuzzStub(f *testing.F) {
	f.Add(program(false, 0x200, 0x6000))
	f.Add(program(true, 0x1000, 0x6000))
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, stub []byte) {
		m := image()
		m.Stub = stub
		var b bytes.Buffer
		if m.Write(&b) != nil {
			return
		}
		if b.Len() > 8*len(stub)+(1<<20) {
			t.Errorf("%d bytes from a stub of %d", b.Len(), len(stub))
		}
		if _, err := parse(b.Bytes()); err != nil {
			t.Error(err)
		}
	})
}
