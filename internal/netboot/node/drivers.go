package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/bootfiles/modules"
)

// drivers loads the kernel's modules for what the machine has.
type drivers struct {
	tree *modules.Tree
	done map[string]bool // by module
	seen map[string]bool // by alias
}

func newDrivers() (*drivers, error) {
	d := &drivers{done: map[string]bool{}, seen: map[string]bool{}}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return d, err
	}
	tree, err := modules.Open(os.DirFS("/"), unix.ByteSliceToString(uts.Release[:]))
	if err != nil {
		return d, fmt.Errorf("the initrd has no drivers for its kernel: %w", err)
	}
	d.tree = tree
	return d, nil
}

// load loads modules by name, with what they need. Those for hardware that is
// not there refuse, which is no failure.
func (d *drivers) load(names ...string) {
	if d.tree == nil {
		return
	}
	order, err := d.tree.Closure(nil, names)
	if err != nil {
		return
	}
	for _, name := range order {
		if !d.done[name] {
			d.done[name] = true
			loadModule(filepath.Join("/", d.tree.Dir, plain(d.tree.File(name))))
		}
	}
}

// plain is the name of a module's file in an initramfs, where none is compressed.
func plain(file string) string {
	if i := strings.Index(file, ".ko"); i >= 0 {
		return file[:i+3]
	}
	return file
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// coldplug loads drivers for the devices that are there and were not there
// before; it tells whether there were any.
func (d *drivers) coldplug() (found bool) {
	filepath.WalkDir("/sys/devices", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.Name() != "modalias" {
			return nil
		}
		alias := text(path)
		if alias != "" && !d.seen[alias] {
			d.seen[alias], found = true, true
			d.load(alias)
		}
		return nil
	})
	return found
}

// settle loads drivers until nothing new appeared for a while.
func (d *drivers) settle(most time.Duration) {
	quiet := time.Now()
	for until := time.Now().Add(most); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if d.coldplug() {
			quiet = time.Now()
		}
		if time.Since(quiet) > 500*time.Millisecond {
			return
		}
	}
}
