package image

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Sidecar is the name of the file beside an image that holds its digest, in
// the form that sha256sum writes and checks.
func Sidecar(path string) string { return path + ".sha256" }

// WriteFile makes an output file of what write writes, with its sidecar; the
// writer that write is given is a Holer. The
// file appears, or is replaced, at once and whole; after an error what was
// there before is still there. Its mode is 0600 if it is private, else what the
// umask leaves of 0666, as for any output of a program. It returns the SHA-256
// of the file.
func WriteFile(path string, private bool, write func(io.Writer) error) (sum [sha256.Size]byte, err error) {
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return sum, fmt.Errorf("writing %s: it is there and no regular file; name another output", path)
	}
	h := sha256.New()
	mode := os.FileMode(0o666)
	if private {
		mode = 0o600
	}
	err = replace(path, mode, func(f *os.File) error {
		w := newSparseFile(f, h)
		defer w.close()
		if err := write(w); err != nil {
			return err
		}
		return w.finish()
	})
	if err != nil {
		return sum, fmt.Errorf("writing %s: %w", path, err)
	}
	h.Sum(sum[:0])
	line := fmt.Sprintf("%s  %s\n", hex.EncodeToString(sum[:]), filepath.Base(path))
	if err := ReplaceFile(Sidecar(path), []byte(line)); err != nil {
		return sum, err
	}
	return sum, nil
}

// ReplaceFile writes a small file at once and whole.
func ReplaceFile(path string, data []byte) error {
	err := replace(path, 0o666, func(f *os.File) error {
		_, err := f.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// replace writes a temporary file beside path, syncs it and renames it.
func replace(path string, mode os.FileMode, write func(*os.File) error) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text()[:8])
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}
