package mkfs

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"slipway/internal/bootfiles/cpio"
)

// job is what the machine is told to do.
type job struct {
	Filesystem string   `json:"filesystem"`
	Command    []string `json:"command"` // of mkfs, without the device
	Subvolumes []string `json:"subvolumes"`
	Modules    []string `json:"modules"` // files, in the order in which they load
}

// Where things lie in the machine. The name of the program is one that the
// running slipway recognizes by itself.
const (
	programPath = "/slipway:mkfs"
	jobPath     = "/job.json"
	modulesPath = "/modules"
)

// toolSet is where kernel and programs come from.
const toolSet = "mkfs"

// gear is all that the machine is started with.
type gear struct{ kernel, initrd string }

// makeGear finds the kernel, and writes the initramfs into a folder.
func (m *Maker) makeGear(ctx context.Context, r *request, dir string) (*gear, error) {
	root, err := m.d.Tools.Root(ctx, toolSet)
	if err != nil {
		return nil, err
	}
	kernel, version, err := findKernel(root)
	if err != nil {
		return nil, err
	}
	available, err := findModules(filepath.Join(root, "usr/lib/modules", version))
	if err != nil {
		return nil, err
	}
	mods, err := available.closure(append([]string{"virtio_pci", "virtio_blk", "virtio_console"}, r.fs.modules...))
	if err != nil {
		return nil, err
	}
	k := &gear{kernel: kernel, initrd: filepath.Join(dir, "initrd")}
	f, err := os.OpenFile(k.initrd, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	err = m.writeInitrd(&archive{Writer: cpio.NewWriter(w), made: map[string]bool{}}, root, r, mods)
	if err = errors.Join(err, w.Flush()); err != nil {
		return nil, fmt.Errorf("making the initramfs of the virtual machine: %w", err)
	}
	return k, nil
}

// findKernel takes the newest kernel of the tree.
func findKernel(root string) (file, version string, err error) {
	all, err := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	if err != nil || len(all) == 0 {
		return "", "", fmt.Errorf("the tools %s have no kernel", toolSet)
	}
	sort.Strings(all)
	file = all[len(all)-1]
	return file, strings.TrimPrefix(filepath.Base(file), "vmlinuz-"), nil
}

func (m *Maker) writeInitrd(a *archive, root string, r *request, mods []module) error {
	for _, dir := range []string{"dev", "proc", "sys", "target", "tmp"} {
		a.Dir(dir, 0o755)
		a.made[dir] = true
	}
	a.Char("dev/console", 0o600, 5, 1)
	a.Char("dev/null", 0o666, 1, 3)
	j := job{Filesystem: r.fs.name, Subvolumes: r.opt.Subvolumes,
		Command: append([]string{r.fs.program}, r.fs.command(r.opt)...)}
	for _, mod := range mods {
		file := path.Join(modulesPath, mod.name+".ko")
		a.parents(file)
		a.File(file[1:], 0o644, mod.data)
		j.Modules = append(j.Modules, file)
	}
	data, err := json.Marshal(j)
	if err != nil {
		return err
	}
	a.File(jobPath[1:], 0o644, data)
	// A slipway that was built with cgo needs a C library, as mkfs does.
	files := map[string]string{programPath: m.d.Program, r.fs.program: filepath.Join(root, r.fs.program)}
	for _, program := range []string{m.d.Program, files[r.fs.program]} {
		needs, err := librariesOf(root, program)
		if err != nil {
			return err
		}
		maps.Copy(files, needs)
	}
	for _, place := range slices.Sorted(maps.Keys(files)) {
		if err := a.copy(files[place], place); err != nil {
			return err
		}
	}
	return a.Close()
}

// archive is an initramfs in the making.
type archive struct {
	*cpio.Writer
	made map[string]bool
}

// parents adds the folders above a path that are not there yet.
func (a *archive) parents(name string) {
	dir := strings.TrimPrefix(path.Dir(name), "/")
	if dir == "" || dir == "." || a.made[dir] {
		return
	}
	a.parents(dir)
	a.Dir(dir, 0o755)
	a.made[dir] = true
}

// copy adds a program or a library of this computer.
func (a *archive) copy(file, place string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	a.parents(place)
	return a.Stream(place[1:], 0o755, st.Size(), f)
}
