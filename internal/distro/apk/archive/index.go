package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"time"

	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/index"
)

// Bounds of an index file, in bytes, as it is and decompressed. Alpine's
// largest has 1.7 MB and 13 MB.
const (
	maxIndex = 64 << 20
	maxPlain = 512 << 20
)

// Index is a verified list of packages.
type Index struct {
	Packages    []*index.Package
	Description string
	Date        time.Time // of the newest package or of the list itself
	Key         string    // that signed it
	Skipped     int       // packages that need a newer apk
}

// Decode verifies the signature of an index and reads it. Nothing behind the
// signature is looked at before it holds.
func Decode(data []byte, keys apkfile.Keys) (*Index, error) {
	signatures, offset, err := apkfile.ReadSigned(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, err
	}
	key, err := apkfile.Verify(signatures, bytes.NewReader(data[offset:]), keys)
	if err != nil {
		return nil, err
	}
	x, err := decode(data[offset:])
	if err != nil {
		return nil, err
	}
	x.Key = key
	return x, nil
}

func decode(data []byte) (*Index, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: gzip: %v", index.ErrFormat, err)
	}
	x, found := &Index{}, false
	t := tar.NewReader(io.LimitReader(z, maxPlain))
	for {
		h, err := t.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %v", index.ErrFormat, err)
		}
		if h.Name != "APKINDEX" && h.Name != "DESCRIPTION" {
			continue
		}
		text, err := io.ReadAll(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
		if h.Name == "DESCRIPTION" {
			x.Description = string(bytes.TrimSpace(text))
			continue
		}
		found = true
		if x.Packages, x.Skipped, err = index.Parse(string(text)); err != nil {
			return nil, err
		}
		x.Date = h.ModTime
	}
	if !found {
		return nil, fmt.Errorf("%w: it has no APKINDEX", index.ErrFormat)
	}
	x.newest()
	return x, nil
}

// newest raises the date to that of the newest package: the list's own date is
// that of the tool's source on some servers.
func (x *Index) newest() {
	date := x.Date.Unix()
	for _, p := range x.Packages {
		date = max(date, p.BuildTime)
	}
	x.Date = time.Unix(date, 0).UTC()
}

// Sentinels for errors.Is; the errors themselves name the address and the remedy.
var (
	// ErrMissing: no mirror has such an index.
	ErrMissing = errors.New("no such repository")
	// ErrRollback: a mirror serves an older index than one seen before.
	ErrRollback = errors.New("index is older than one seen before")
	// ErrOffline: what is needed is not in the store and the network is off.
	ErrOffline = errors.New("not in the store")
	// ErrClock: an index is from the future.
	ErrClock = errors.New("index is from the future")
)
