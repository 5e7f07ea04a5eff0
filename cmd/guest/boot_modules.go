package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"slipway/internal/bootfiles/modules"

	"golang.org/x/sys/unix"
)

// loader loads kernel modules of the present root.
type loader struct {
	tree *modules.Tree // nil: a kernel without modules

	mu   sync.Mutex
	done map[string]error
	seen map[string]bool // aliases
}

func newLoader() (*loader, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("asking for the kernel's version: %w", err)
	}
	l := &loader{done: map[string]error{}, seen: map[string]bool{}}
	var err error
	l.tree, err = modules.Open(os.DirFS("/"), unix.ByteSliceToString(uts.Release[:]))
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil
	}
	return l, err
}

// load loads what a name or an alias stands for, and what that needs. A name
// that nothing answers to is no error: the kernel may have it built in.
func (l *loader) load(name string) error {
	if l.tree == nil {
		return nil
	}
	order, err := l.tree.Closure(nil, []string{name})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, module := range order {
		if e, known := l.done[module]; known {
			err = e
			continue
		}
		err = l.insert(module)
		l.done[module] = err
	}
	return err // of the last: the one that was asked for
}

// insert gives one module to the kernel. A module for hardware that is not
// there refuses with ENODEV, which is no failure of the boot.
func (l *loader) insert(name string) error {
	file := filepath.Join("/", l.tree.Dir, l.tree.File(name))
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loading the module %s: %w", name, err)
	}
	defer unix.Close(fd)
	flags := 0
	if !strings.HasSuffix(file, ".ko") {
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	switch err := unix.FinitModule(fd, "", flags); {
	case err == nil, errors.Is(err, unix.EEXIST), errors.Is(err, unix.ENODEV):
		return nil
	default:
		return fmt.Errorf("loading the module %s: %w", name, err)
	}
}

// coldplug loads what the devices that are there ask for.
func (l *loader) coldplug() {
	if l.tree == nil {
		return
	}
	files, _ := filepath.Glob("/sys/bus/*/devices/*/modalias")
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil {
			l.device(strings.TrimSpace(string(data)))
		}
	}
}

// device loads the drivers for one modalias, once.
func (l *loader) device(alias string) {
	if alias == "" || l.seen[alias] {
		return
	}
	l.seen[alias] = true
	if err := l.load(alias); err != nil {
		say("%v", err)
	}
}

// modprobe is what the kernel executes when it misses a module.
func modprobe(args []string) {
	l, err := newLoader()
	if err != nil {
		os.Exit(1)
	}
	for _, name := range args {
		if !strings.HasPrefix(name, "-") && l.load(name) != nil {
			os.Exit(1)
		}
	}
	os.Exit(0)
}
