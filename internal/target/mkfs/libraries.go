package mkfs

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// librariesOf gives what a program needs to run, by the path that it is looked
// for at: the loader, its libraries and theirs (ELF, DT_NEEDED), all from a
// tree. A program that needs nothing gives nothing.
func librariesOf(root, program string) (map[string]string, error) {
	out := map[string]string{}
	seen := map[string]bool{}
	var add func(path string) error
	add = func(path string) error {
		f, err := elf.Open(path)
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		defer f.Close()
		if loader := interpreter(f); loader != "" {
			if out[loader], err = filepath.EvalSymlinks(filepath.Join(root, loader)); err != nil {
				return fmt.Errorf("%s needs a loader that is not there: %w", path, err)
			}
		}
		names, err := f.ImportedLibraries()
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		for _, name := range names {
			if seen[name] {
				continue
			}
			seen[name] = true
			place, real, err := findLibrary(root, name)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			out[place] = real
			if err := add(real); err != nil {
				return err
			}
		}
		return nil
	}
	return out, add(program)
}

func interpreter(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err == nil && len(b) > 1 {
				return string(b[:len(b)-1])
			}
		}
	}
	return ""
}

// findLibrary looks where the loader of a Debian looks.
func findLibrary(root, name string) (place, real string, err error) {
	dirs, err := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu"))
	if err != nil {
		return "", "", err
	}
	for _, dir := range append(dirs, filepath.Join(root, "usr/lib")) {
		real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", "", err
		}
		rel, err := filepath.Rel(root, dir)
		return "/" + rel + "/" + name, real, err
	}
	return "", "", fmt.Errorf("its library %s: %w", name, os.ErrNotExist)
}
