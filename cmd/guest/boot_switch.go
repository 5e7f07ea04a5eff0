package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// switchRoot makes newRoot the root of the machine and gives back the memory
// of the initramfs.
func (b *booter) switchRoot() error {
	b.loading.Wait() // its files are about to go
	for _, m := range []string{"/dev", "/proc", "/sys", "/run"} {
		target := newRoot + m
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("making %s in the root (is it read-only and empty?): %w", m, err)
		}
		if err := unix.Mount(m, target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("moving %s: %w", m, err)
		}
	}
	old, err := os.Open("/")
	if err != nil {
		return err
	}
	defer old.Close()
	if err := os.Chdir(newRoot); err != nil {
		return fmt.Errorf("entering the root: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("changing the root: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if b.inRAM {
		os.Remove(newRoot) // the same file system: it was a place to mount on
		return nil
	}
	var st unix.Stat_t
	if unix.Fstat(int(old.Fd()), &st) == nil {
		empty(int(old.Fd()), st.Dev)
	}
	return nil
}

// empty removes all below a folder that is on one file system. What is mounted
// there (the images under an overlay) stays. A running program keeps its file.
func empty(dir int, dev uint64) {
	list, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(list), "initramfs")
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Dev != dev {
			continue
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			unix.Unlinkat(dir, name, 0)
			continue
		}
		if sub, err := unix.Openat(dir, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
			empty(sub, dev)
			unix.Close(sub)
		}
		unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	}
}

// handOver leaves the agent behind, if somebody listens, and becomes init.
func (b *booter) handOver() error {
	program, err := b.findInit()
	if err != nil {
		return err
	}
	env := []string{"PATH=" + defaultPath, "TERM=linux", "HOME=/"}
	if b.port != nil {
		notify, err := notifySocket()
		if err != nil {
			return err
		}
		if err := b.startAgent(notify, initStyle(program[0])); err != nil {
			return err
		}
		notify.Close()
		unix.Close(b.port.fd)
		env = append(env, "NOTIFY_SOCKET="+notifyPath)
	}
	b.news.close()
	env = append(env, b.host.Env...)
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("starting a session: %w", err)
	}
	err = syscall.Exec(program[0], program, env)
	return fmt.Errorf("starting init %s: %w", program[0], err)
}

// findInit says what becomes process 1: what the command line says, what the
// host says, what the image says, what the tree has.
func (b *booter) findInit() ([]string, error) {
	wanted := b.cfg.Init
	if len(b.host.Init) > 0 {
		wanted = b.host.Init
	}
	if path, ok := b.line.Get("init"); ok && path != "" {
		wanted = []string{path}
	}
	program, err := findInit(wanted)
	if err != nil {
		return nil, err
	}
	if target, err := filepath.EvalSymlinks(program[0]); err == nil && b.inRAM && sameFile(target, "/proc/self/exe") {
		return nil, errors.New("the machine's init is the guest helper itself: name another with `init:`")
	}
	// Words such as single, emergency and a runlevel are for init.
	for _, p := range b.line {
		switch p.Key {
		case "single", "s", "S", "1", "2", "3", "4", "5", "emergency", "rescue", "-s":
			if !p.Set {
				program = append(program[:len(program):len(program)], p.Key)
			}
		}
	}
	return program, nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func (b *booter) startAgent(notify *os.File, style string) error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	defer null.Close()
	// A descriptor of its own: the file's finalizer must not close the port.
	fd, err := unix.Dup(b.port.fd)
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	control := os.NewFile(uintptr(fd), "port")
	defer control.Close()
	args := []string{"@slipway-guest", "agent", style, strconv.Itoa(b.host.Deadline), "vm"}
	_, err = os.StartProcess("/proc/self/exe", args, &os.ProcAttr{
		Dir: "/", Env: []string{},
		Files: []*os.File{null, null, null, control, null, notify},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	return nil
}

// exists tells whether there is a file, whatever else may be wrong with it.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// fields splits a list of mount options.
func fields(options string) []string {
	return strings.FieldsFunc(options, func(r rune) bool { return r == ',' })
}
