// Package guest holds the guest helper as a program (embedded, compressed) and
// starts it. The helper's source is cmd/guest, its protocol is package wire.
//
// The helper is the one generated file in the repository. Make it again after
// a change of cmd/guest or wire; a test holds that it is up to date:
//
//go:generate go run ./gen
package guest

import (
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

//go:embed guest_amd64.zst
var amd64 []byte

//go:embed guest_arm64.zst
var arm64 []byte

var packed = map[string][]byte{"amd64": amd64, "arm64": arm64}

// maxSize bounds the unpacked helper; the house rule is 3 MB.
const maxSize = 3 << 20

// Program returns the helper for a machine's architecture (Debian's name).
func Program(arch string) ([]byte, error) {
	data, ok := packed[arch]
	if !ok {
		return nil, fmt.Errorf("this slipway has no guest helper for %s", arch)
	}
	r, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("unpacking the guest helper: %w", err)
	}
	defer r.Close()
	program, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err == nil && len(program) > maxSize {
		err = fmt.Errorf("it is larger than %d bytes", maxSize)
	}
	if err != nil {
		return nil, fmt.Errorf("unpacking the guest helper: %w", err)
	}
	return program, nil
}

var unpack = sync.OnceValues(func() ([]byte, error) { return Program(runtime.GOARCH) })

// Memfile returns the helper for this host's containers as a sealed memory
// file, to be executed by its descriptor. It lives as long as it is open or
// runs, and nothing can change it. The caller closes it.
func Memfile() (*os.File, error) {
	program, err := unpack()
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("slipway-guest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3 there is no MFD_EXEC, and it is the default
		fd, err = unix.MemfdCreate("slipway-guest", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil, fmt.Errorf("making a memory file for the guest helper: %w", err)
	}
	f := os.NewFile(uintptr(fd), "slipway-guest")
	if _, err := f.Write(program); err != nil {
		f.Close()
		return nil, fmt.Errorf("filling the memory file of the guest helper: %w", err)
	}
	// The machine's root is another user on the host: it needs to read and execute.
	err = f.Chmod(0o555)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("sealing the memory file of the guest helper: %w", err)
	}
	return f, nil
}
