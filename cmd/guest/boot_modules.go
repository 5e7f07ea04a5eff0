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

// laterOn are drivers that no root waits for.
var laterOn = map[string]bool{"virtio_rng": true}

// loader loads kernel modules of the present root. It is safe for parallel use.
type loader struct {
	tree *modules.Tree   // nil: a kernel without modules
	only map[string]bool // for devices, only these; nil: all that there are

	mu    sync.Mutex
	done  map[string]*insertion
	seen  map[string]bool // aliases
	later []string        // drivers of devices that are there, to be loaded when the root is mounted
}

// insertion is one module on its way into the kernel.
type insertion struct {
	over chan struct{}
	err  error
}

func newLoader() (*loader, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("asking for the kernel's version: %w", err)
	}
	l := &loader{done: map[string]*insertion{}, seen: map[string]bool{}}
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
	for _, module := range order {
		if module == name || !l.superseded(module) {
			err = l.once(module)
		}
	}
	return err // of the last: the one that was asked for
}

// superseded tells of the plain form of a cipher whose form for this processor
// is loaded. File systems name the cipher alone, which both answer to.
func (l *loader) superseded(module string) bool {
	cipher, plain := strings.CutSuffix(module, "_generic")
	if !plain {
		return false
	}
	for _, other := range l.tree.Resolve("crypto-" + cipher) {
		l.mu.Lock()
		in := l.done[other]
		l.mu.Unlock()
		if in == nil || other == module {
			continue
		}
		<-in.over
		// A processor without the instructions refuses, which is no error.
		if _, err := os.Stat("/sys/module/" + other); in.err == nil && err == nil {
			return true
		}
	}
	return false
}

// once inserts a module, or waits for somebody who does it at the moment.
func (l *loader) once(module string) error {
	l.mu.Lock()
	in := l.done[module]
	if in != nil {
		l.mu.Unlock()
		<-in.over
		return in.err
	}
	in = &insertion{over: make(chan struct{})}
	l.done[module] = in
	l.mu.Unlock()
	in.err = l.insert(module)
	close(in.over)
	return in.err
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
	l.mu.Lock()
	old := alias == "" || l.seen[alias]
	l.seen[alias] = true
	l.mu.Unlock()
	if old {
		return
	}
	for _, name := range l.tree.Resolve(alias) {
		if l.only != nil && !l.only[name] {
			continue
		}
		if laterOn[name] {
			l.mu.Lock()
			l.later = append(l.later, name)
			l.mu.Unlock()
			continue
		}
		if err := l.load(name); err != nil {
			say("%v", err)
		}
	}
}

// rest loads the drivers that were put off.
func (l *loader) rest() {
	l.mu.Lock()
	names := l.later
	l.later = nil
	l.mu.Unlock()
	for _, name := range names {
		if err := l.load(name); err != nil {
			say("%v", err)
		}
	}
}

// restrict leaves the other devices to the machine's own software, where the
// whole system with all its modules is in memory.
func (l *loader) restrict(set string) {
	s, err := modules.Named(set)
	if l.tree == nil || err != nil {
		return
	}
	order, _ := l.tree.Closure(nil, append(s.Wanted, s.Optional...))
	l.only = map[string]bool{}
	for _, name := range order {
		l.only[name] = true
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
