package fetch

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// part is an unfinished file: named by its digest, locked by who fills it,
// and kept when a download breaks off, so that the next one resumes.
type part struct {
	file    *os.File
	path    string
	hash    hash.Hash
	have    int64 // bytes in the file and in the hash
	resumed bool  // some of them come from an earlier run
}

// openPart opens or makes the item's part file and hashes what it holds. It
// waits while another process fills the same one; nil without an error means
// that the other has completed the file.
func (f *Fetcher) openPart(ctx context.Context, it *Item) (*part, error) {
	dir := f.PartDir
	if dir == "" {
		dir = filepath.Dir(it.Dest)
	}
	path := filepath.Join(dir, it.digest()+".part")
	for waited := false; ; waited = true {
		if waited {
			if done, err := present(it); err != nil || done {
				return nil, err
			}
		}
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o644)
		if err != nil {
			return nil, err
		}
		owned, err := lock(file, path)
		if owned {
			p := &part{file: file, path: path, hash: it.newHash()}
			if err := p.load(it.Size); err != nil {
				p.close()
				return nil, err
			}
			return p, nil
		}
		file.Close()
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// lock takes the lock without waiting, and makes sure that the file it locked
// still has its name (the former owner may just have renamed it).
func lock(file *os.File, path string) (bool, error) {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking %s: %w", path, err)
	}
	named, err := os.Stat(path)
	if err != nil {
		return false, nil
	}
	opened, err := file.Stat()
	return err == nil && os.SameFile(named, opened), err
}

// load hashes what an earlier run left. More than the declared size is
// useless and dropped.
func (p *part) load(size int64) error {
	n, err := io.Copy(p.hash, p.file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", p.path, err)
	}
	p.have, p.resumed = n, n > 0
	if size > 0 && n > size {
		return p.reset()
	}
	return nil
}

// reset empties the part.
func (p *part) reset() error {
	if err := p.file.Truncate(0); err != nil {
		return err
	}
	if _, err := p.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	p.hash.Reset()
	p.have, p.resumed = 0, false
	return nil
}

// Write appends to file and hash.
func (p *part) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.hash.Write(b[:n])
	p.have += int64(n)
	if err != nil {
		return n, &localError{err}
	}
	return n, nil
}

func (p *part) digest() string { return hex.EncodeToString(p.hash.Sum(nil)) }

// publish gives the verified file its name.
func (p *part) publish(dest string, sync bool) error {
	if sync {
		if err := p.file.Sync(); err != nil {
			return err
		}
	}
	if err := os.Rename(p.path, dest); err != nil {
		return fmt.Errorf("giving the fetched file its name: %w", err)
	}
	return nil
}

// close releases the lock. An empty part leaves nothing behind.
func (p *part) close() {
	if p.have == 0 {
		if named, err := os.Stat(p.path); err == nil {
			if opened, err := p.file.Stat(); err == nil && os.SameFile(named, opened) {
				os.Remove(p.path)
			}
		}
	}
	p.file.Close()
}

func hashFile(path string, h hash.Hash) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if _, err := io.Copy(h, file); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
