package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"slipway/internal/bootfiles"
	"slipway/internal/sandbox"
)

// The process that stays when the initramfs becomes the machine's own system.
// Its program lives on in memory although its file is gone by then; the memory
// is free again when the version is proven.
const stayName = "slipway:prove"

func init() { sandbox.RegisterEntry(stayName, stay) }

// staying is what it is told.
type staying struct {
	Server  string    `json:"server"`
	Key     string    `json:"key"`
	Version string    `json:"version"`
	Helper  [2]uint64 `json:"helper"` // device and inode of the guest helper, which is no init yet
}

// Descriptors that it inherits.
const (
	stayTold = 3 // a staying
	stayProc = 4 // /proc, which moves away from under it
)

// leaveProver starts it.
func leaveProver(s staying) error {
	if _, err := os.Stat("/" + bootfiles.ConfigPath); err == nil { // else the first program is the machine's own
		s.Helper, _ = identity(guestHelper)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("prove", unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	told := os.NewFile(uintptr(fd), "prove")
	defer told.Close()
	if _, err := told.WriteAt(text, 0); err != nil {
		return err
	}
	proc, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer proc.Close()
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	p, err := os.StartProcess("/proc/self/exe", []string{stayName}, &os.ProcAttr{
		Dir: "/", Env: []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8"},
		Files: []*os.File{null, null, null, told, proc}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("starting what proves the system: %w", err)
	}
	return p.Release()
}

func identity(path string) (out [2]uint64, err error) {
	var st unix.Stat_t
	if err = unix.Stat(path, &st); err == nil {
		out = [2]uint64{uint64(st.Dev), st.Ino}
	}
	return out, err
}

// stay waits for the machine's init, goes where it is, and proves.
func stay() int {
	debug.SetGCPercent(20)
	err := stayAndProve()
	if err == nil {
		return 0
	}
	noteInLog(err)
	return 1
}

func stayAndProve() error {
	var s staying
	told := os.NewFile(stayTold, "prove")
	err := json.NewDecoder(told).Decode(&s)
	told.Close()
	if err != nil {
		return err
	}
	key, err := decodeKey(s.Key)
	if err != nil {
		return err
	}
	srv, err := newServer(s.Server, func(string, ...any) {})
	if err != nil {
		return err
	}
	if err := follow(stayProc, s.Helper); err != nil {
		return err
	}
	if lo, err := netlink.LinkByName("lo"); err == nil { // an init that is one program may not care for it
		netlink.LinkSetUp(lo)
	}
	p := &prover{
		key: key, srv: srv, version: s.Version, reach: inside{srv.base.Hostname()},
		settled: initSettled, pace: 2 * time.Second,
	}
	return p.run(context.Background())
}

// initPatience is how long the guest helper may be on its way.
const initPatience = time.Hour

// follow waits until process 1 is the machine's init, and takes its root.
func follow(proc int, helper [2]uint64) error {
	own, err := identity("/proc/self/exe")
	if err != nil {
		var st unix.Stat_t // /proc has moved away already
		if err := unix.Fstatat(proc, "self/exe", &st, 0); err != nil {
			return fmt.Errorf("looking at the own program: %w", err)
		}
		own = [2]uint64{uint64(st.Dev), st.Ino}
	}
	for until := time.Now().Add(initPatience); ; time.Sleep(200 * time.Millisecond) {
		var st unix.Stat_t
		if err := unix.Fstatat(proc, "1/exe", &st, 0); err == nil {
			if now := [2]uint64{uint64(st.Dev), st.Ino}; now != own && now != helper {
				break
			}
		}
		if time.Now().After(until) {
			return errors.New("the machine's init was not started")
		}
	}
	root, err := unix.Openat(proc, "1/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("going to the machine's root: %w", err)
	}
	unix.Close(proc)
	if err := errors.Join(unix.Fchdir(root), unix.Chroot("."), os.Chdir("/"), unix.Close(root)); err != nil {
		return fmt.Errorf("going to the machine's root: %w", err)
	}
	return nil
}

// noteInLog writes a line into the kernel's log, where somebody at the machine
// finds it.
func noteInLog(err error) {
	if f, e := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0); e == nil {
		fmt.Fprintf(f, "slipway: this system is not proven: %v\n", err)
		f.Close()
	}
}
