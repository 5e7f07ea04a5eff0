package boot

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strconv"

	"github.com/klauspost/compress/zstd"

	"slipway/internal/bootfiles/modules"
	"slipway/internal/xz"
)

// archived lists the kernel modules in an initramfs: any number of plain
// archives in the newc form (Documentation/driver-api/early-userspace/
// buffer-format.rst), the last of which may be compressed.
func archived(r io.Reader) (map[string]bool, error) {
	names := map[string]bool{}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		head, err := skipZeros(in)
		if err == io.EOF {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(head, []byte("07070")) {
			if err := members(in, names); err != nil {
				return nil, err
			}
			continue
		}
		z, err := unpacker(head, in)
		if err != nil {
			return nil, err
		}
		in = bufio.NewReaderSize(z, 64<<10)
		if head, err = skipZeros(in); err != nil || !bytes.HasPrefix(head, []byte("07070")) {
			return nil, fmt.Errorf("its compressed part holds no archive")
		}
	}
}

// skipZeros steps over padding and looks at what follows.
func skipZeros(in *bufio.Reader) ([]byte, error) {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return nil, err
		}
		if b != 0 {
			if err := in.UnreadByte(); err != nil {
				return nil, err
			}
			head, err := in.Peek(6)
			if err == io.EOF {
				err = nil
			}
			return head, err
		}
	}
}

func unpacker(head []byte, in io.Reader) (io.Reader, error) {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzip.NewReader(in)
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return xz.NewReader(in)
	}
	return nil, fmt.Errorf("it begins with %q, which is neither an archive nor compressed with gzip, zstd or xz", head)
}

// members reads one archive to its trailer.
func members(in *bufio.Reader, names map[string]bool) error {
	const maxName = 4096
	var head [110]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return fmt.Errorf("reading a header: %w", err)
		}
		size, err := strconv.ParseUint(string(head[54:62]), 16, 32)
		length, err2 := strconv.ParseUint(string(head[94:102]), 16, 32)
		if !bytes.HasPrefix(head[:], []byte("07070")) || err != nil || err2 != nil || length == 0 || length > maxName {
			return fmt.Errorf("got %q, want a header of an archive", head[:6])
		}
		name := make([]byte, length)
		if _, err := io.ReadFull(in, name); err != nil {
			return fmt.Errorf("reading a name: %w", err)
		}
		text := string(bytes.TrimRight(name, "\x00"))
		pad := (4 - (len(head)+int(length))%4) % 4
		if _, err := in.Discard(pad); err != nil {
			return err
		}
		if text == "TRAILER!!!" {
			return nil
		}
		if bytes.Contains(name, []byte(".ko")) {
			names[modules.Name(text)] = true
		}
		if _, err := io.CopyN(io.Discard, in, int64(size)+int64(4-size%4)%4); err != nil {
			return fmt.Errorf("reading %s: %w", text, err)
		}
	}
}
