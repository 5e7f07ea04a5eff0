package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"slipway/internal/distro/deb/control"
	"slipway/internal/fetch"
	"slipway/internal/xz"
)

// maxIndex bounds an unpacked Packages file whose size the Release does not
// give, in bytes.
const maxIndex = 1 << 30

// index is one Packages file to read.
type index struct {
	source    *source
	from      *verified
	component string
	arch      string
	origin    *control.Origin
	path      string // in the suite's folder, as the Release lists it
	suffix    string // ".xz", ".zst", ".gz" or ""
	file      listed
	plain     listed // of the unpacked file; size -1 if not listed
	packages  []control.Package
}

// key names the compact form: the digest of the plain file if it is known.
func (x *index) key() string {
	for _, d := range []string{x.plain.sha256, x.plain.sha512, x.file.sha256, x.file.sha512} {
		if d != "" {
			return d
		}
	}
	return ""
}

// suffixes in order of preference.
var suffixes = []string{".xz", ".zst", ".gz", ""}

// find looks an index up in the Release. An index that is not listed is
// empty, as apt has it.
func find(s *source, v *verified, component, arch string) *index {
	path := fmt.Sprintf("%s/binary-%s/Packages", component, arch)
	if s.flat() {
		path = "Packages"
	}
	plain, known := v.release.files[path]
	if !known {
		plain.size = -1
	}
	for _, suffix := range suffixes {
		for _, name := range []string{path + suffix, "./" + path + suffix} {
			if file, ok := v.release.files[name]; ok {
				return &index{source: s, from: v, component: component, arch: arch, path: path + suffix, suffix: suffix, file: file, plain: plain}
			}
		}
	}
	return nil
}

// indexes lists what to read of a suite.
func (c *Config) indexes(s *source, v *verified) ([]*index, error) {
	if s.flat() {
		if x := find(s, v, "", c.Arch); x != nil {
			return []*index{x}, nil
		}
		return nil, nil
	}
	if err := c.offers(s, v); err != nil {
		return nil, err
	}
	archs := c.archs()
	if slices.Contains(v.release.archs, "all") && !v.release.noArchAll {
		archs = append(archs, "all")
	}
	var list []*index
	for _, component := range s.components {
		for _, arch := range archs {
			if x := find(s, v, component, arch); x != nil {
				list = append(list, x)
			}
		}
	}
	return list, nil
}

// offers checks that the suite has the components and, for a base suite, the
// architectures.
func (c *Config) offers(s *source, v *verified) error {
	for _, component := range s.components {
		known := slices.ContainsFunc(v.release.components, func(have string) bool {
			return have == component || strings.HasSuffix(have, "/"+component)
		})
		if !known && !s.usual && len(v.release.components) > 0 {
			return &kindError{ErrMismatch, fmt.Sprintf("opening %s: it has no component %q; it has %s", s.where(v.base), component, strings.Join(v.release.components, ", "))}
		}
	}
	for _, arch := range c.archs() {
		if slices.Contains(v.release.archs, arch) || len(v.release.archs) == 0 {
			continue
		}
		if s.base {
			return &kindError{ErrMismatch, fmt.Sprintf("opening %s: it is not made for %s; it is made for %s", s.where(v.base), arch, strings.Join(v.release.archs, ", "))}
		}
		v.notes = append(v.notes, fmt.Sprintf("%s has nothing for %s", s.suite, arch))
	}
	return nil
}

// item says where the index is to be fetched from: by its hash where the
// archive offers that, since the plain name may change under us.
func (x *index) item(c *Config) fetch.Item {
	it := fetch.Item{
		Name:   fmt.Sprintf("the package list of %s %s %s", x.source.suite, x.component, x.arch),
		Size:   x.file.size,
		SHA256: x.file.sha256, SHA512: x.file.sha512,
		Dest: filepath.Join(c.CacheDir, "partial", x.key()+x.suffix),
	}
	bases := append([]string{x.from.base}, x.source.bases...)
	for i, base := range bases {
		if i > 0 && base == x.from.base {
			continue
		}
		dir := x.source.dir(base)
		if x.from.release.byHash {
			it.URLs = append(it.URLs, dir+x.byHash())
		}
		it.URLs = append(it.URLs, dir+x.path)
	}
	return it
}

func (x *index) byHash() string {
	folder := x.path[:strings.LastIndexByte(x.path, '/')+1]
	if x.file.sha256 != "" {
		return folder + "by-hash/SHA256/" + x.file.sha256
	}
	return folder + "by-hash/SHA512/" + x.file.sha512
}

// compact parses the fetched file at path and stores its compact form.
func (x *index) compact(ctx context.Context, c *Config, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	plain, err := x.unpack(file)
	if err != nil {
		return x.wrap(err)
	}
	defer plain.Close()
	list := newCompactor(x.plain.size)
	if err := parseInto(ctx, list, x.bound(plain)); err != nil {
		return x.wrap(err)
	}
	return list.store(c.compactPath(x.key()))
}

func (x *index) wrap(err error) error {
	return fmt.Errorf("reading the package list %s of %s: %w", x.path, x.source.where(x.from.base), err)
}

// unpack opens the compressed file.
func (x *index) unpack(file *os.File) (io.ReadCloser, error) {
	switch x.suffix {
	case ".xz":
		return xz.NewParallelReader(file, x.file.size)
	case ".zst":
		z, err := zstd.NewReader(bufio.NewReaderSize(file, 128<<10), zstd.WithDecoderMaxMemory(128<<20), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case ".gz":
		return gzip.NewReader(bufio.NewReaderSize(file, 128<<10))
	}
	return io.NopCloser(file), nil
}

// bound stops a decompression bomb at the size that the Release declares.
func (x *index) bound(r io.Reader) io.Reader {
	if x.plain.size >= 0 {
		return &exactly{r: r, left: x.plain.size}
	}
	return &exactly{r: r, left: maxIndex, atMost: true}
}

// exactly fails unless its source has just as many bytes as left.
type exactly struct {
	r      io.Reader
	left   int64
	atMost bool
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if e.left -= int64(n); e.left < 0 {
		return 0, errors.New("unpacked, it is longer than the Release file declares")
	}
	if err == io.EOF && e.left > 0 && !e.atMost {
		return n, errors.New("unpacked, it is shorter than the Release file declares")
	}
	return n, err
}

// parseInto adds every paragraph of a Packages file.
func parseInto(ctx context.Context, list *compactor, r io.Reader) error {
	reader, parser := control.NewReader(r), new(control.Parser)
	var p control.Package
	for n := 0; ; n++ {
		par, err := reader.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := parser.Parse(par, &p); err != nil {
			return err
		}
		if err := list.add(&p); err != nil {
			return err
		}
	}
}

// store writes the compact form under its name, atomically.
func (c *compactor) store(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = c.writeTo(f)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return fmt.Errorf("storing a package list: %w", err)
	}
	return os.Rename(f.Name(), path)
}

// readOnly holds when a store cannot be written, which only costs speed.
func readOnly(err error) bool {
	return errors.Is(err, unix.EROFS) || errors.Is(err, fs.ErrPermission)
}
