// Package initramfs makes the first root of a machine: an archive with the
// guest helper as /init, the kernel modules that a target needs with all that
// those need (decompressed, with reduced tables in their usual place), and a
// configuration. There is nothing else in it, no shell and no C library; a
// static busybox of the machine is taken along for emergencies.
//
// The helper loads from it what the present devices ask for.
package initramfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/cpio"
	"slipway/internal/bootfiles/modules"
)

// Options say what goes into an archive.
type Options struct {
	Version  string   // of the kernel, as uname -r gives it
	Set      string   // module set: vm or disk
	Modules  []string // wanted beside the set; missing ones are an error
	Optional []string // taken if the kernel has them
	Helper   []byte   // the guest helper, for the machine's architecture
	Config   bootfiles.Config
	Extra    []File // such as the image of a root that lives in RAM

	// Decompress opens a module file by its ending (.xz, .zst, .gz). It is
	// not asked for plain .ko files.
	Decompress func(ending string, r io.Reader) (io.Reader, error)
	// Compress wraps the output; nil leaves it plain.
	Compress func(w io.Writer) (io.WriteCloser, error)
}

// File is an additional file of the archive.
type File struct {
	Path string // without leading slash
	Mode uint32
	Size int64
	Open func() (io.ReadCloser, error)
}

// Build writes the archive for a machine whose tree is root. What it holds
// depends on the arguments alone, and so do the bytes if Compress is so.
func Build(w io.Writer, root fs.FS, opt Options) error {
	picked, err := pick(root, opt)
	if err != nil {
		return err
	}
	out := w
	var packer io.WriteCloser
	if opt.Compress != nil {
		if packer, err = opt.Compress(w); err != nil {
			return fmt.Errorf("compressing the initramfs: %w", err)
		}
		out = packer
	}
	err = write(out, root, opt, picked)
	if packer != nil {
		if e := packer.Close(); err == nil && e != nil {
			err = fmt.Errorf("compressing the initramfs: %w", e)
		}
	}
	return err
}

// Modules tells which modules an archive would hold, in load order.
func Modules(root fs.FS, opt Options) ([]string, error) {
	p, err := pick(root, opt)
	if err != nil {
		return nil, err
	}
	return p.order, nil
}

type selection struct {
	tree  *modules.Tree
	order []string
}

func pick(root fs.FS, opt Options) (*selection, error) {
	tree, err := modules.Open(root, opt.Version)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) && opt.Set == "" && len(opt.Modules) == 0 {
			return &selection{}, nil // a kernel without modules
		}
		return nil, err
	}
	var set modules.Set
	if opt.Set != "" {
		if set, err = modules.Named(opt.Set); err != nil {
			return nil, err
		}
	}
	wanted := append(append([]string(nil), set.Wanted...), opt.Modules...)
	optional := append(append([]string(nil), set.Optional...), opt.Optional...)
	order, err := tree.Closure(wanted, optional)
	if err != nil {
		return nil, err
	}
	return &selection{tree, order}, nil
}

// folders of the archive, parents first.
var folders = []string{"bin", "dev", "etc", "lib", "lib/modules", "newroot", "proc", "root", "run", "sbin", "slipway", "sys", "tmp", "usr", "usr/bin", "usr/sbin"}

func write(out io.Writer, root fs.FS, opt Options, s *selection) error {
	a := cpio.NewWriter(out)
	made := map[string]bool{}
	for _, dir := range folders {
		a.Dir(dir, 0o755)
		made[dir] = true
	}
	a.Char("dev/console", 0o600, 5, 1)
	a.Char("dev/null", 0o666, 1, 3)
	a.File("init", 0o755, opt.Helper)
	a.Symlink("sbin/modprobe", "/init") // what the kernel calls when it misses a module
	cfg := opt.Config
	cfg.Load = append(append([]string(nil), cfg.Load...), opt.Modules...)
	data, err := cfg.Encode()
	if err != nil {
		return err
	}
	a.File(bootfiles.ConfigPath, 0o644, data)
	if err := writeBusybox(a, root); err != nil {
		return err
	}
	if s.tree != nil {
		if err := writeModules(a, root, opt, s, made); err != nil {
			return err
		}
		if err := writeFirmware(a, root, opt, s, made); err != nil {
			return err
		}
	}
	for _, f := range opt.Extra {
		if err := writeExtra(a, f, made); err != nil {
			return err
		}
	}
	return a.Close()
}
