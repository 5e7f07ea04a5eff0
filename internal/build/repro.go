package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"slipway/internal/image/formats"
	"slipway/internal/machine"
	"slipway/internal/plan"
	"slipway/internal/store"
	"slipway/internal/tree"
)

// Reproduction is what two builds of one definition under shuffled conditions showed.
type Reproduction struct {
	Equal      bool              `json:"equal"`
	Tree       string            `json:"tree"` // digest of the tree when equal
	Layer      string            `json:"layer,omitempty"`
	First      *tree.Difference  `json:"first,omitempty"`
	Package    string            `json:"package,omitempty"` // that owns the first differing file
	Script     string            `json:"script,omitempty"`  // that may have written it
	Count      int               `json:"count"`             // differing entries of that layer
	Conditions [2][]string       `json:"conditions"`
	Others     []tree.Difference `json:"others,omitempty"`  // up to 20 more
	Formats    []string          `json:"formats,omitempty"` // images that were compared, by suffix
	Format     string            `json:"format,omitempty"`  // of the image that differs, when the trees do not
	Offset     int64             `json:"offset,omitempty"`  // of its first byte that differs
}

// condition is one way to run a build.
type condition struct {
	words []string
	env   []string
	umask int
	cpus  string
	dir   string
}

// conditions differ in all that a careless build lets in.
var conditions = [2]condition{
	{words: []string{"umask 022", "LANG=C", "TZ=UTC", "all processors", "the folder of the definition"},
		env: []string{"LANG=C", "TZ=UTC", "HOME=/nonexistent"}, umask: 0o022},
	{words: []string{"umask 077", "LANG=tr_TR.UTF-8", "TZ=Pacific/Apia", "one processor", "the folder /"},
		env: []string{"LANG=tr_TR.UTF-8", "LC_ALL=tr_TR.UTF-8", "TZ=Pacific/Apia", "HOME=/tmp"}, umask: 0o077, cpus: "1", dir: "/"},
}

// Repro builds a prepared machine twice, each time into a fresh store below
// workDir that begins with the packages only, and compares layer by layer.
//
// Then each writes the tree as images (suffixes such as ".squashfs"),
// which are compared byte by byte.
func (b *Builder) Repro(ctx context.Context, p *Prepared, workDir string, images, extra []string) (*Reproduction, error) {
	lock := filepath.Join(workDir, "repro.lock")
	if err := plan.WriteLock(lock, p.Lock); err != nil {
		return nil, err
	}
	stores := [2]*store.Store{}
	out := &Reproduction{}
	for i, c := range conditions {
		out.Conditions[i] = c.words
		dir := filepath.Join(workDir, fmt.Sprintf("store%d", i+1))
		if err := b.lendPackages(p, dir); err != nil {
			return nil, err
		}
		step := b.Progress.Step(fmt.Sprintf("build %d of 2: %s", i+1, strings.Join(c.words, ", ")))
		err := c.build(ctx, p, dir, lock, extra)
		step.Done(err)
		if err != nil {
			return nil, fmt.Errorf("build %d of 2: %w", i+1, err)
		}
		s, err := store.Open(dir, store.Options{})
		if err != nil {
			return nil, err
		}
		defer s.Close()
		stores[i] = s
	}
	if err := out.compare(p, stores); err != nil || !out.Equal {
		return out, err
	}
	return out, b.reproImages(ctx, p, workDir, lock, images, extra, out)
}

// ReproFormats are the native formats of a class. A disk with a file system
// that is made by foreign programs has the same tree each time, not the same
// bytes.
func ReproFormats(d *machine.Definition, class plan.Class) []string {
	if class == plan.Bootable {
		for _, p := range d.Layout().Partitions {
			if p.Filesystem != "" && !formats.Native(p.Filesystem) {
				return []string{".ext4", ".efi"}
			}
		}
		return []string{".raw", ".qcow2", ".ext4", ".efi"}
	}
	return []string{".tar", ".tar.zst", ".tar.gz", ".cpio.zst", ".squashfs", ".erofs", ".oci.tar"}
}

// reproImages writes each format under both conditions and compares.
func (b *Builder) reproImages(ctx context.Context, p *Prepared, workDir, lock string, images, extra []string, r *Reproduction) error {
	for _, suffix := range images {
		step := b.Progress.Step("write and compare " + suffix)
		var files [2]string
		for i, c := range conditions {
			files[i] = filepath.Join(workDir, fmt.Sprintf("image%d%s", i+1, suffix))
			err := c.build(ctx, p, filepath.Join(workDir, fmt.Sprintf("store%d", i+1)), lock, append([]string{"-o", files[i]}, extra...))
			if err != nil {
				step.Done(err)
				return fmt.Errorf("writing %s, %s: %w", suffix, strings.Join(c.words, ", "), err)
			}
		}
		at, err := firstDifference(files[0], files[1])
		step.Done(err)
		if err != nil {
			return err
		}
		for _, f := range files {
			for _, beside := range []string{"", ".sha256", ".spdx.json"} {
				os.Remove(f + beside)
			}
		}
		r.Formats = append(r.Formats, suffix)
		if at >= 0 {
			r.Equal, r.Format, r.Offset = false, suffix, at
			return nil
		}
	}
	return nil
}

// firstDifference is the offset of the first byte that differs; -1: none.
func firstDifference(a, b string) (int64, error) {
	fa, err := os.Open(a)
	if err != nil {
		return 0, err
	}
	defer fa.Close()
	fb, err := os.Open(b)
	if err != nil {
		return 0, err
	}
	defer fb.Close()
	ba, bb := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); ; {
		na, errA := io.ReadFull(fa, ba)
		nb, errB := io.ReadFull(fb, bb)
		for i := range min(na, nb) {
			if ba[i] != bb[i] {
				return at + int64(i), nil
			}
		}
		switch {
		case na != nb:
			return at + int64(min(na, nb)), nil
		case errA == io.EOF || errA == io.ErrUnexpectedEOF:
			return -1, nil
		case errA != nil || errB != nil:
			return 0, errors.Join(errA, errB)
		}
		at += int64(na)
	}
}

// lendPackages gives a fresh store the fetched packages, so that the network
// is asked once only; everything else is made anew.
func (b *Builder) lendPackages(p *Prepared, dir string) error {
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	defer s.Close()
	kind := p.Definition.Family()
	for _, pkg := range p.Packages() {
		f, err := os.Open(b.Store.ObjectPath(kind, pkg.SHA256))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		err = s.ImportObject(kind, pkg.SHA256, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// build runs slipway itself under the condition.
func (c condition) build(ctx context.Context, p *Prepared, dir, lock string, extra []string) error {
	args := []string{"build", p.Definition.File, "--store", dir, "--for", string(p.Class), "--lock", lock, "--locked", "-q"}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append(args, extra...)...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin:/usr/sbin:/sbin"}, c.env...)
	if c.cpus != "" {
		cmd.Env = append(cmd.Env, "GOMAXPROCS="+c.cpus)
	}
	cmd.Dir = c.dir
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &output
	old := syscall.Umask(c.umask)
	err := cmd.Start()
	syscall.Umask(old)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return fmt.Errorf("%w\n%s", err, bytes.TrimSpace(output.Bytes()))
	}
	return nil
}

// compare looks at the layers from the lowest up: the first that differs is
// where the cause is.
func (r *Reproduction) compare(p *Prepared, stores [2]*store.Store) error {
	for _, l := range p.Layers {
		var m [2]*tree.Manifest
		for i, s := range stores {
			layer, err := s.Layer(l.Key)
			if err != nil {
				return fmt.Errorf("opening the %s layer of build %d: %w", l.Kind, i+1, err)
			}
			if m[i], err = layer.Manifest(); err != nil {
				return err
			}
		}
		differences := tree.Compare(m[0], m[1])
		r.Tree = m[0].Digest().String()
		if len(differences) == 0 {
			continue
		}
		r.Layer, r.First, r.Count = l.Kind, &differences[0], len(differences)
		r.Others = differences[1:min(len(differences), 21)]
		r.blame(stores[0], p.Packages())
		return nil
	}
	r.Equal = true
	return nil
}

// blame names the package that brought the path, and the script that runs for
// it.
func (r *Reproduction) blame(s *store.Store, packages []plan.Package) {
	for _, p := range packages {
		pack, err := s.OpenPack(p.SHA256)
		if err != nil {
			continue
		}
		for _, e := range pack.Entries() {
			if e.Path == r.First.Path && e.Type != tree.Dir {
				r.Package = p.Name
			}
		}
		if r.Package != "" {
			for _, name := range []string{"postinst", "post-install"} {
				if _, ok := pack.ControlData(name); ok {
					r.Script = p.Name + "." + name
				}
			}
		}
		pack.Close()
		if r.Package != "" {
			return
		}
	}
}
