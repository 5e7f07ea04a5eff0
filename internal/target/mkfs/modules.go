package mkfs

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/bootfiles/modules"
	"slipway/internal/xz"
)

// kernelModules are the modules of an unpacked kernel package. It has none of
// the tables that depmod makes where it is installed; what a module needs is
// said in the module itself.
type kernelModules struct {
	files   map[string]string // by name
	builtin map[string]bool
}

func findModules(dir string) (*kernelModules, error) {
	k := &kernelModules{files: map[string]string{}, builtin: map[string]bool{}}
	data, err := os.ReadFile(filepath.Join(dir, "modules.builtin"))
	if err != nil {
		return nil, fmt.Errorf("reading the modules of the kernel: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		k.builtin[modules.Name(strings.TrimSpace(line))] = true
	}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.Contains(d.Name(), ".ko") {
			k.files[modules.Name(path)] = path
		}
		return err
	})
	return k, err
}

// module is one that is to be loaded.
type module struct {
	name string
	data []byte
}

// closure gives modules with what they need before themselves, in the order
// in which they load.
func (k *kernelModules) closure(wanted []string) ([]module, error) {
	var out []module
	seen := map[string]bool{}
	var add func(name string) error
	add = func(name string) error {
		name = modules.Name(name)
		if seen[name] || k.builtin[name] {
			return nil
		}
		seen[name] = true
		data, err := k.read(name)
		if err != nil {
			return err
		}
		needs, err := moduleNeeds(data)
		if err != nil {
			return fmt.Errorf("the kernel module %s: %w", name, err)
		}
		for _, n := range needs {
			if err := add(n); err != nil {
				return err
			}
		}
		out = append(out, module{name, data})
		return nil
	}
	for _, name := range wanted {
		if err := add(name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// maxModule bounds an unpacked module, in bytes.
const maxModule = 64 << 20

func (k *kernelModules) read(name string) ([]byte, error) {
	path := k.files[name]
	if path == "" {
		return nil, fmt.Errorf("the kernel has no module %s", name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	switch filepath.Ext(path) {
	case ".ko":
	case ".xz":
		if r, err = xz.NewReader(f); err != nil {
			return nil, fmt.Errorf("the kernel module %s: %w", name, err)
		}
	default:
		return nil, fmt.Errorf("nothing here unpacks the kernel module %s", filepath.Base(path))
	}
	data, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err == nil && len(data) > maxModule {
		err = errors.New("it is too large")
	}
	if err != nil {
		return nil, fmt.Errorf("the kernel module %s: %w", name, err)
	}
	return data, nil
}

// moduleNeeds reads the section .modinfo: "depends=a,b" are modules whose
// symbols a module uses.
func moduleNeeds(data []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("it says nothing about itself")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for _, field := range strings.Split(string(info), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
