package archived

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
)

// Each calls do for each of at most entries members of a tar archive, and reads
// r to its very end, so that checksums behind the archive are compared too.
// An archive with more members is an error that wraps over.
func Each(ctx context.Context, r io.Reader, entries int, over error, do func(h *tar.Header, content io.Reader) error) error {
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
		if n >= entries {
			return fmt.Errorf("%w: more than %d entries", over, entries)
		}
		if err := do(h, t); err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, r)
	return err
}
