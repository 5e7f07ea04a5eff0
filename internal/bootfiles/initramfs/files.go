package initramfs

import (
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"

	"slipway/internal/bootfiles/cpio"
)

// maxModule bounds one decompressed module, in bytes.
const maxModule = 64 << 20

// writeModules adds the modules below their usual folder, plain, and tables
// that name only them.
func writeModules(a *cpio.Writer, root fs.FS, opt Options, s *selection, made map[string]bool) error {
	dir := path.Join("lib/modules", s.tree.Version)
	for _, table := range s.tree.Tables(s.order) {
		file := path.Join(dir, table.Name)
		makeParents(a, file, made)
		a.File(file, 0o644, []byte(table.Text))
	}
	contents := readModules(root, opt, s)
	for _, name := range s.order {
		c := <-contents
		m := <-c
		if m.err != nil {
			go drain(contents)
			return fmt.Errorf("reading the kernel module %s: %w", name, m.err)
		}
		file := path.Join(dir, plainName(s.tree.File(name)))
		makeParents(a, file, made)
		if err := a.File(file, 0o644, m.data); err != nil {
			go drain(contents)
			return err
		}
	}
	return nil
}

type module struct {
	data []byte
	err  error
}

// readModules decompresses several modules at a time and gives them in order.
func readModules(root fs.FS, opt Options, s *selection) <-chan chan module {
	queue := make(chan chan module, runtime.GOMAXPROCS(0)) // bounds what is in memory
	go func() {
		defer close(queue)
		for _, name := range s.order {
			one := make(chan module, 1)
			queue <- one
			go func() {
				data, err := readModule(root, path.Join(s.tree.Dir, s.tree.File(name)), opt)
				one <- module{data, err}
			}()
		}
	}()
	return queue
}

func drain(queue <-chan chan module) {
	for range queue {
	}
}

func readModule(root fs.FS, file string, opt Options) ([]byte, error) {
	f, err := root.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if ending := path.Ext(file); ending != ".ko" {
		if opt.Decompress == nil {
			return nil, fmt.Errorf("%s is compressed, and nothing here decompresses %s", path.Base(file), ending)
		}
		if r, err = opt.Decompress(ending, f); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(r, maxModule+1))
	if err == nil && len(data) > maxModule {
		err = fmt.Errorf("it is larger than %d MiB", maxModule>>20)
	}
	return data, err
}

// plainName is a module's name without the ending of a compression.
func plainName(file string) string {
	if ending := path.Ext(file); ending != ".ko" {
		return file[:len(file)-len(ending)]
	}
	return file
}

// makeParents adds the folders above a file that are not there yet.
func makeParents(a *cpio.Writer, file string, made map[string]bool) {
	dir := path.Dir(file)
	if dir == "." || made[dir] {
		return
	}
	makeParents(a, dir, made)
	a.Dir(dir, 0o755)
	made[dir] = true
}

func writeExtra(a *cpio.Writer, f File, made map[string]bool) error {
	r, err := f.Open()
	if err != nil {
		return fmt.Errorf("adding %s to the initramfs: %w", f.Path, err)
	}
	defer r.Close()
	makeParents(a, f.Path, made)
	return a.Stream(f.Path, f.Mode, f.Size, r)
}
