package sandbox

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// probeMain is the program the tests run in a tree: this test binary under
// another name, so that the tests need nothing but Go.
func probeMain(args []string) int {
	switch args[0] {
	case "exit":
		var n int
		fmt.Sscan(args[1], &n)
		return n
	case "abort":
		unix.Kill(os.Getpid(), unix.SIGTERM)
		time.Sleep(5 * time.Second)
	case "env":
		env := os.Environ()
		sort.Strings(env)
		fmt.Println(strings.Join(env, "\n"))
	case "cat":
		io.Copy(os.Stdout, os.Stdin)
	case "sleep":
		d, _ := time.ParseDuration(args[1])
		time.Sleep(d)
	case "daemon": // leave a background process that holds stdout
		c := exec.Command(args[1], "sleep", "300s")
		c.Stdout = os.Stdout
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := c.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("started")
	case "ls":
		entries, err := os.ReadDir(args[1])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		for _, e := range entries {
			fmt.Println(e.Name())
		}
	case "read":
		data, err := os.ReadFile(args[1])
		if err != nil {
			fmt.Println(err)
			return 1
		}
		os.Stdout.Write(data)
	case "write":
		if err := os.WriteFile(args[1], []byte("x"), 0o666); err != nil {
			fmt.Println(err)
			return 1
		}
	case "facts":
		probeFacts()
	case "sync":
		probeSync()
	case "terminal":
		probeTerminal()
	case "calls":
		probeCalls()
	}
	return 0
}

// probeSync syncs a pipe, which cannot be: only a call that is not made succeeds.
func probeSync() {
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		fmt.Println("pipe:", err)
	}
	fmt.Println("fsync:", unix.Fsync(fds[0]))
	fmt.Println("fdatasync:", unix.Fdatasync(fds[0]))
	fmt.Println("range:", unix.SyncFileRange(fds[0], 0, 0, 0))
	fmt.Println("syncfs:", unix.Syncfs(-1))
}

func probeFacts() {
	host, _ := os.Hostname()
	fmt.Println("hostname", host)
	fmt.Println("ids", os.Getuid(), os.Getgid())
	groups, _ := os.Getgroups()
	fmt.Println("groups", len(groups))
	mask := unix.Umask(0)
	fmt.Printf("umask %03o\n", mask)
	ifs, _ := net.Interfaces()
	for _, i := range ifs {
		fmt.Println("interface", i.Name, i.Flags&net.FlagUp != 0)
	}
	status, _ := os.ReadFile("/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		if strings.HasPrefix(line, "CapBnd") || strings.HasPrefix(line, "CapEff") || strings.HasPrefix(line, "Seccomp:") || strings.HasPrefix(line, "NoNewPrivs") {
			fmt.Println(strings.Join(strings.Fields(line), " "))
		}
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, f := range fds {
		// The runtime's own poller and the open directory are after these.
		if l, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && !strings.HasPrefix(l, "anon_inode") {
			fmt.Println("fd", f.Name(), l)
		}
	}
	procs, _ := os.ReadDir("/proc")
	n := 0
	for _, p := range procs {
		if p.Name()[0] >= '0' && p.Name()[0] <= '9' {
			n++
		}
	}
	fmt.Println("processes", n)
	for _, dev := range []string{"null", "zero", "full", "random", "urandom", "ptmx", "shm", "fd/0"} {
		_, err := os.Stat("/dev/" + dev)
		fmt.Println("dev", dev, err == nil)
	}
	fmt.Println("write null", os.WriteFile("/dev/null", []byte("x"), 0))
	_, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	fmt.Println("ptmx", err)
}

// probeCalls tries what the sandbox must refuse.
func probeCalls() {
	say := func(name string, err error) { fmt.Printf("%s: %v\n", name, err) }
	say("mount", unix.Mount("none", "/tmp", "tmpfs", 0, ""))
	say("umount", unix.Unmount("/proc", unix.MNT_DETACH))
	_, err := unix.Fsopen("tmpfs", 0)
	say("fsopen", err)
	_, err = unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE)
	say("open_tree", err)
	say("unshare-user", unix.Unshare(unix.CLONE_NEWUSER))
	say("unshare-mount", unix.Unshare(unix.CLONE_NEWNS))
	say("setns", unix.Setns(0, 0))
	say("sethostname", unix.Sethostname([]byte("evil")))
	say("ptrace", unix.PtraceSeize(1))
	say("reboot", unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART))
	say("settime", unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{}))
	say("swapon", errnoOf(unix.Syscall(unix.SYS_SWAPON, 0, 0, 0)))
	say("bpf", errnoOf(unix.Syscall(unix.SYS_BPF, 0, 0, 0)))
	say("keyctl", errnoOf(unix.Syscall(unix.SYS_KEYCTL, 0, 0, 0)))
	say("clone3", errnoOf(unix.Syscall(unix.SYS_CLONE3, 0, 0, 0)))
	say("io_uring", errnoOf(unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)))
	say("init_module", errnoOf(unix.Syscall(unix.SYS_INIT_MODULE, 0, 0, 0)))
	c := exec.Command("/proc/self/exe")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	say("clone-user", unwrapErrno(c.Run()))
	say("mknod-disk", unix.Mknod("/tmp/disk", unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))))
	// What scripts need must work.
	say("mkfifo", unix.Mkfifo("/tmp/fifo", 0o600))
	os.WriteFile("/tmp/own", nil, 0o600)
	say("chown", os.Chown("/tmp/own", 1000, 1000))
	say("setuid-bit", os.Chmod("/tmp/own", 0o755|os.ModeSetuid))
	say("chroot", unix.Chroot("/"))
	probeCaller(say)
	_, err = net.DialTimeout("tcp", "192.0.2.1:80", time.Second)
	say("network", unwrapErrno(err))
	_, err = os.Stat("/../../etc/passwd")
	say("dotdot", unwrapErrno(err))
	_, err = os.Stat("/proc/1/root/etc/passwd")
	say("proc-root", unwrapErrno(err))
}

// probeCaller tries to become the caller of slipway, whose id is mapped beside
// the tree's, or to make something that belongs to the caller.
func probeCaller(say func(string, error)) {
	const keep = ^uintptr(0)
	own, _ := unix.Open("/tmp/own", unix.O_RDWR, 0)
	name, _ := unix.BytePtrFromString("/tmp/own")
	path, cwd := uintptr(unsafe.Pointer(name)), unix.AT_FDCWD
	for _, call := range []struct {
		name string
		nr   uintptr
		args [5]uintptr
	}{
		{"caller-chown", unix.SYS_FCHOWN, [5]uintptr{uintptr(own), SelfID, keep}},
		{"caller-chgrp", unix.SYS_FCHOWN, [5]uintptr{uintptr(own), keep, SelfID}},
		{"caller-chownat", unix.SYS_FCHOWNAT, [5]uintptr{uintptr(cwd), path, SelfID, keep, 0}},
		{"caller-setuid", unix.SYS_SETUID, [5]uintptr{SelfID}},
		{"caller-setreuid", unix.SYS_SETREUID, [5]uintptr{keep, SelfID}},
		{"caller-setresuid", unix.SYS_SETRESUID, [5]uintptr{keep, keep, SelfID}},
		{"caller-setgid", unix.SYS_SETGID, [5]uintptr{SelfID}},
		{"caller-setregid", unix.SYS_SETREGID, [5]uintptr{SelfID, keep}},
		{"caller-setresgid", unix.SYS_SETRESGID, [5]uintptr{keep, SelfID, keep}},
		{"caller-setfsuid", unix.SYS_SETFSUID, [5]uintptr{SelfID}},
		{"caller-setfsgid", unix.SYS_SETFSGID, [5]uintptr{SelfID}},
	} {
		a := call.args
		say(call.name, errnoOf(unix.Syscall6(call.nr, a[0], a[1], a[2], a[3], a[4], 0)))
	}
	runtime.KeepAlive(name)
	for _, file := range []string{"sys/net/ipv4/ip_forward", "sysrq-trigger", "irq/default_smp_affinity"} {
		f, err := os.OpenFile("/proc/"+file, os.O_WRONLY, 0)
		if err == nil {
			f.Close()
		}
		say("proc-"+file, unwrapErrno(err))
	}
}

func errnoOf(_, _ uintptr, e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

func unwrapErrno(err error) error {
	for err != nil {
		if e, ok := err.(syscall.Errno); ok {
			return e
		}
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
	return nil
}
