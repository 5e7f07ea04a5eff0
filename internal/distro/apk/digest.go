package apk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/index"
	"slipway/internal/fetch"
)

// digest is what a lock pins of a package's file.
type digest struct {
	SHA256 string
	Size   int64
}

// An Alpine index has no digest of the files but the SHA-1 of their control. A
// lock wants the SHA-256 of each file: those that the store has not seen are
// fetched when they are chosen, checked against the index, and remembered.

// known is the file that remembers a package's digest.
func (f *Family) known(identity string) string {
	sum := sha256.Sum256([]byte(identity))
	return filepath.Join(f.store.Dir(), "indexes", "apk", "digests", hex.EncodeToString(sum[:20])+".json")
}

func (f *Family) recall(identity string) (digest, bool) {
	var d digest
	data, err := os.ReadFile(f.known(identity))
	if err != nil || json.Unmarshal(data, &d) != nil || len(d.SHA256) != 64 || d.Size <= 0 {
		return digest{}, false
	}
	return d, true
}

func (f *Family) remember(identity string, d digest) error {
	path := f.known(identity)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	data, err := json.Marshal(d)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// fetchers is how many packages are fetched at once; each is held in memory.
const fetchers = 4

// pinDigests finds the digest of every chosen package.
func (c *choice) pinDigests(ctx context.Context) error {
	c.digests = map[string]digest{}
	fetcher, err := c.family.Fetcher(c.request.Definition)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchers)
	all := append(append([]*index.Package(nil), c.solution.Base...), c.solution.Rest...)
	found := make([]digest, len(all))
	for i, p := range all {
		if d, ok := c.family.recall(p.Identity); ok && p.Local == "" {
			found[i] = d
			continue
		}
		group.Go(func() (err error) {
			found[i], err = c.look(ctx, fetcher, p)
			if err == nil && p.Local == "" {
				err = c.family.remember(p.Identity, found[i])
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, p := range all {
		c.digests[p.Identity] = found[i]
	}
	return nil
}

// look takes a package's digest from its file.
func (c *choice) look(ctx context.Context, fetcher *fetch.Fetcher, p *index.Package) (digest, error) {
	if p.Local != "" {
		return hashFile(p.Local)
	}
	if c.request.Offline {
		return digest{}, fmt.Errorf("--offline: %s is not in the store; run it once with the network", p.ID())
	}
	url := c.archive.Repositories[p.Repository].Base + "/" + c.arch() + "/" + p.File()
	document, err := fetcher.Get(ctx, p.ID(), []string{url}, p.Size, fetch.Condition{})
	if fetch.NotFound(err) {
		return digest{}, fmt.Errorf("%w; the index is newer or older than the repository's packages: try --refresh, or another mirror", err)
	}
	if err != nil {
		return digest{}, err
	}
	if err := check(p, document.Body); err != nil {
		return digest{}, fmt.Errorf("%s from %s: %w", p.ID(), fetch.Redact(url), err)
	}
	sum, err := c.family.store.AddObject("apk", document.Body)
	return digest{sum, int64(len(document.Body))}, err
}

// check compares a file with what the signed index says of it.
func check(p *index.Package, data []byte) error {
	if p.Size != 0 && int64(len(data)) != p.Size {
		return fmt.Errorf("%w: it has %d bytes, the index says %d", apkfile.ErrMismatch, len(data), p.Size)
	}
	r := bytes.NewReader(data)
	info, err := apkfile.ReadFrom(p.ID(), r, r.Size(), apkfile.Limits{})
	if err != nil {
		return err
	}
	if info.Identity != p.Identity || info.Name != p.Name || info.Version != p.Version {
		return fmt.Errorf("%w: it is %s with the identity %s, the index says %s", apkfile.ErrMismatch, info.ID(), info.Identity, p.Identity)
	}
	return info.CheckData(r)
}

func hashFile(path string) (digest, error) {
	f, err := os.Open(path)
	if err != nil {
		return digest{}, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return digest{hex.EncodeToString(h.Sum(nil)), n}, err
}
