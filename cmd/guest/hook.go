package main

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/hook"

	"golang.org/x/sys/unix"
)

// kernelHook is run by the machine's package manager:
//
//	kernel-hook [VERSION]        a kernel was installed (all of them)
//	kernel-hook remove VERSION   a kernel was removed
//	kernel-hook loader           packages changed, perhaps the boot loader
func kernelHook(args []string) {
	if err := runHook(args); err != nil {
		fmt.Fprintf(os.Stderr, "slipway: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runHook(args []string) error {
	data, err := os.ReadFile("/" + bootfiles.HookPath)
	if err != nil {
		return err
	}
	cfg, err := bootfiles.Decode(data)
	if err != nil {
		return err
	}
	m := &hook.Machine{
		Root: "/", Config: *cfg, Arch: runtime.GOARCH, Decompress: decompress, Mounted: mounted,
		Compress: func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	}
	what := append(args, "", "")
	switch what[0] {
	case "remove":
		return m.Remove(what[1])
	case "loader":
		if err := m.Loader(); err != nil {
			// Not a reason to fail each call of dpkg: the old loader works.
			fmt.Fprintf(os.Stderr, "slipway: warning: %v\n", err)
		}
		return nil
	}
	if m.Helper, err = os.ReadFile("/proc/self/exe"); err != nil {
		return err
	}
	return m.Install(what[0])
}

// mounted tells whether a folder is a mount point, and mounts what fstab says
// if it is not. Looking into it wakes an automount.
func mounted(dir string) error {
	if _, err := os.ReadDir(dir); err != nil {
		return err
	}
	for try := 0; ; try++ {
		var here, above unix.Stat_t
		if err := unix.Stat(dir, &here); err != nil {
			return err
		}
		if err := unix.Stat(filepath.Dir(dir), &above); err != nil {
			return err
		}
		if here.Dev != above.Dev {
			return nil
		}
		if try > 0 {
			return errors.New("nothing is mounted there")
		}
		if err := runQuietly([]string{"mount", dir}); err != nil {
			return err
		}
	}
}

// decompress opens a kernel module. What the standard library lacks, and is
// too rare to carry along, a program of the machine does.
func decompress(ending string, r io.Reader) (io.Reader, error) {
	switch ending {
	case ".xz":
		return newXZReader(r)
	case ".gz":
		return gzip.NewReader(r)
	case ".zst":
		return unpackZstd(r)
	}
	return nil, errors.New("nothing here decompresses " + ending)
}

// unpackZstd runs the machine's zstd.
func unpackZstd(r io.Reader) (io.Reader, error) {
	in, ok := r.(*os.File)
	if !ok {
		return nil, errors.New("zstd reads files only")
	}
	program, err := lookPath("zstd", defaultPath)
	if err != nil {
		return nil, err
	}
	out, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p, err := os.StartProcess(program, []string{"zstd", "-dc"}, &os.ProcAttr{Files: []*os.File{in, to, os.Stderr}})
	to.Close()
	if err != nil {
		out.Close()
		return nil, err
	}
	return &unpacker{out, p}, nil
}

// unpacker is the output of a program, and its failure at the end.
type unpacker struct {
	out *os.File
	p   *os.Process
}

func (u *unpacker) Read(b []byte) (int, error) {
	n, err := u.out.Read(b)
	if err != io.EOF {
		return n, err
	}
	u.out.Close()
	if state, e := u.p.Wait(); e != nil || !state.Success() {
		return n, errors.New("zstd failed")
	}
	return n, io.EOF
}
