package image

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// ErrNoChecksum says that nothing tells whether an image is what was written.
var ErrNoChecksum = errors.New("no checksum")

// Verify reads an image and checks it against its sidecar. Without one it
// relies on the checksum that the format itself carries (gzip, xz, and zstd
// when it was switched on); decompress gives that format's reader and is asked
// only then. A format without a checksum and without a sidecar is an error
// that wraps ErrNoChecksum.
func Verify(path string, decompress func(io.Reader) (io.ReadCloser, error)) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("verifying an image: %w", err)
	}
	defer f.Close()
	want, err := readSidecar(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return verifyBuiltIn(f, path, decompress)
	case err != nil:
		return fmt.Errorf("verifying %s: %w", path, err)
	}
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return fmt.Errorf("verifying %s: %w", path, err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("verifying %s: got SHA-256 %s, %s says %s; build it again", path, got, Sidecar(path), want)
	}
	return nil
}

func readSidecar(path string) (digest string, err error) {
	b, err := os.ReadFile(Sidecar(path))
	if err != nil {
		return "", err
	}
	digest, _, _ = strings.Cut(string(b), " ")
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != sha256.Size {
		return "", fmt.Errorf("%s does not begin with a SHA-256", Sidecar(path))
	}
	return strings.ToLower(digest), nil
}

func verifyBuiltIn(f *os.File, path string, decompress func(io.Reader) (io.ReadCloser, error)) error {
	head := make([]byte, 8)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
		return fmt.Errorf("verifying %s: %w", path, err)
	}
	if decompress == nil || !hasChecksum(head[:n]) {
		return fmt.Errorf("verifying %s: %w: the format has none, and %s is missing; "+
			"keep the two together, or build it again", path, ErrNoChecksum, Sidecar(path))
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("verifying %s: %w", path, err)
	}
	r, err := decompress(f)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		r.Close()
	}
	if err != nil {
		return fmt.Errorf("verifying %s: %w; build it again", path, err)
	}
	return nil
}

// hasChecksum looks at the beginning of a compressed file: gzip (RFC 1952)
// always has a CRC-32, zstd (RFC 8878, 3.1.1.1.1) when bit 2 of the frame
// header descriptor is set, xz when the low bits of its stream flags are not
// 0 (The .xz File Format, 2.1.1.2).
func hasChecksum(head []byte) bool {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return true
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return len(head) > 4 && head[4]&4 != 0
	case bytes.HasPrefix(head, []byte("\xfd7zXZ\x00")):
		return len(head) > 7 && head[7]&15 != 0
	}
	return false
}
