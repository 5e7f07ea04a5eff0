// Package firmware knows which firmware files a kernel module asks for, and
// finds them in a machine. The names are in the module itself (MODULE_FIRMWARE
// in its source, the section .modinfo of its file), or, for drivers that are
// part of the kernel, in modules.builtin.modinfo beside the modules.
//
// A module names all files that any of its devices may want, often in several
// versions: which of them a machine needs only its hardware tells.
package firmware

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"slipway/internal/bootfiles/modules"
)

// maxModule bounds a module, in bytes.
const maxModule = 64 << 20

// Names reads the names of firmware files out of a module, which is plain,
// sorted and without doubles.
func Names(module []byte) ([]string, error) {
	data, err := section(module, ".modinfo")
	if err != nil {
		return nil, fmt.Errorf("reading a kernel module: %w", err)
	}
	return pick(data, "firmware="), nil
}

// pick gives the values of a key in text of which each line ends with a NUL.
// Names that leave the folder of firmware are none.
func pick(data []byte, key string) []string {
	var names []string
	for word := range bytes.SplitSeq(data, []byte{0}) {
		name, ok := strings.CutPrefix(string(word), key)
		if ok && fs.ValidPath(name) && name != "." {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Demand is what one module asks for.
type Demand struct {
	Module  string
	Found   []string // files of the machine, below /lib/firmware or /usr/lib/firmware
	Missing []string // names, as the kernel asks for them
}

// Demands finds the firmware of modules, named as somebody typed them.
// decompress opens a module file by its ending, as in package initramfs.
func Demands(root fs.FS, t *modules.Tree, names []string, decompress func(string, io.Reader) (io.Reader, error)) ([]Demand, error) {
	var out []Demand
	builtin, err := fs.ReadFile(root, path.Join(t.Dir, "modules.builtin.modinfo"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, typed := range names {
		found := t.Resolve(typed)
		if len(found) == 0 {
			found = []string{modules.Name(typed)}
		}
		for _, module := range found {
			asked := pick(builtin, module+".firmware=")
			if t.Has(module) {
				if asked, err = ask(root, path.Join(t.Dir, t.File(module)), decompress); err != nil {
					return nil, fmt.Errorf("looking for the firmware of %s: %w", module, err)
				}
			}
			if len(asked) > 0 {
				out = append(out, search(root, module, asked))
			}
		}
	}
	return out, nil
}

func ask(root fs.FS, file string, decompress func(string, io.Reader) (io.Reader, error)) ([]string, error) {
	f, err := root.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if ending := path.Ext(file); ending != ".ko" {
		if decompress == nil {
			return nil, fmt.Errorf("%s is compressed, and nothing here decompresses %s", file, ending)
		}
		if r, err = decompress(ending, f); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(r, maxModule))
	if err != nil {
		return nil, err
	}
	return Names(data)
}

// search looks where the kernel does (drivers/base/firmware_loader/main.c),
// for plain and for compressed files.
func search(root fs.FS, module string, names []string) Demand {
	d := Demand{Module: module}
next:
	for _, name := range names {
		for _, dir := range []string{"usr/lib/firmware", "lib/firmware"} {
			for _, ending := range []string{"", ".zst", ".xz"} {
				file := path.Join(dir, name) + ending
				if st, err := fs.Stat(root, file); err == nil && st.Mode().IsRegular() {
					d.Found = append(d.Found, file)
					continue next
				}
			}
		}
		d.Missing = append(d.Missing, name)
	}
	return d
}
