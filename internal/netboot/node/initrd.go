package node

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"

	"slipway/internal/bootfiles/cpio"
)

// Payload is what turns the initramfs of a machine (boot.Net) into one that
// asks a server, or installs from a stick: slipway itself, and what it is to
// know. It is an archive of its own, to be put behind the other: the kernel
// unpacks one after another.
type Payload struct {
	Program string // file of slipway; empty: the running one
	Config  Config
	Chunks  []byte // of a recovery stick's image; nil elsewhere
}

// runningProgram stays valid when the file was replaced meanwhile.
const runningProgram = "/proc/self/exe"

// Write writes the archive, compressed with zstd.
func (p Payload) Write(w io.Writer) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithWindowSize(8<<20))
	if err != nil {
		return err
	}
	if err := p.write(z); err != nil {
		return fmt.Errorf("adding slipway to the initramfs: %w", err)
	}
	return z.Close()
}

func (p Payload) write(w io.Writer) error {
	if p.Program == "" {
		p.Program = runningProgram
	}
	f, err := os.Open(p.Program)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := standalone(f); err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	config, err := p.Config.Encode()
	if err != nil {
		return err
	}
	a := cpio.NewWriter(w)
	a.Dir(path.Dir(ConfigPath), 0o755)
	a.File(ConfigPath, 0o600, config)
	if p.Chunks != nil {
		a.File(ChunksPath, 0o600, p.Chunks)
	}
	if err := a.Stream(strings.TrimPrefix(ProgramPath, "/"), 0o755, st.Size(), f); err != nil {
		return err
	}
	return a.Close()
}

// standalone refuses a program that needs libraries: the initramfs has none, and
// the kernel would say no more than that the file is not there.
func standalone(f *os.File) error {
	e, err := elf.NewFile(f)
	if err != nil {
		return err
	}
	for _, p := range e.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("this slipway was built with cgo and needs the libraries of its host: build it with CGO_ENABLED=0")
		}
	}
	return nil
}

// Initrd joins a machine's initramfs with the payload, which begins at a
// multiple of four bytes as the kernel wants it.
func Initrd(w io.Writer, base io.Reader, p Payload) error {
	n, err := io.Copy(w, base)
	if err != nil {
		return err
	}
	if _, err := w.Write(make([]byte, -n&3)); err != nil {
		return err
	}
	return p.Write(w)
}

// Cmdline is the command line that starts the program, made of the machine's
// own (boot.Result.Cmdline) and where the server is; an empty address leaves
// that to the configuration.
func Cmdline(machine, server string, more ...string) string {
	words := []string{machine, "rdinit=" + ProgramPath}
	if server != "" {
		words = append(words, WordServer+"="+server)
	}
	return strings.Join(append(words, more...), " ")
}
