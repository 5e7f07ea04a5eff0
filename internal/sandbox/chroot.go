package sandbox

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// envLeft tells the program that it has been through leaveChroot.
const envLeft = "SLIPWAY_LEFT_CHROOT"

// leaveChroot makes user namespaces possible for root in a chroot(2), where
// the kernel refuses them (user_namespaces(7), EPERM): slipway starts again in
// a mount namespace of its own whose root is the chroot's, seen from inside
// the same. It does nothing anywhere else, and where it fails, starting a
// worker says what is missing.
func leaveChroot() {
	if os.Getenv(envLeft) != "" {
		os.Unsetenv(envLeft)
		return
	}
	if os.Geteuid() != 0 {
		return // needs CAP_SYS_ADMIN and CAP_SYS_CHROOT
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: this thread's root is its own, and it ends with the goroutine
		if chrooted() {
			_ = restartAsRoot()
		}
	}()
	<-done
}

// chrooted tells whether this thread's root is another than its mount
// namespace's. It leaves the thread with file system attributes of its own.
func chrooted() bool {
	before, err := mountOf("/")
	if err != nil {
		return false
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(root)
	dir, err := unix.Open(".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(dir)
	if unix.Unshare(unix.CLONE_FS) != nil || enterOwnRoot() != nil {
		return false
	}
	after, err := mountOf("/")
	if err != nil || after == before {
		return false
	}
	return unix.Fchdir(root) == nil && unix.Chroot(".") == nil && unix.Fchdir(dir) == nil
}

// place identifies a directory and the mount that it is seen through.
type place struct{ mount, inode uint64 }

func mountOf(path string) (place, error) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_MNT_ID, &st)
	return place{st.Mnt_id, st.Ino}, err
}

// enterOwnRoot sets the thread's root to that of its mount namespace: a side
// effect of entering it, even when it is in there already (setns(2)).
func enterOwnRoot() error {
	ns, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(ns)
	return unix.Setns(ns, unix.CLONE_NEWNS)
}

// restartAsRoot lays the present root over the root of a new mount namespace
// and runs the program again there. It returns only when it fails.
func restartAsRoot() error {
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	program, err := os.Executable()
	if err != nil {
		program = executable
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := enterOwnRoot(); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	tree, err := unix.OpenTree(root, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE|unix.AT_EMPTY_PATH)
	if err != nil {
		return err
	}
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return err
	}
	if err := unix.Fchdir(tree); err != nil {
		return err
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Chdir(dir); err != nil {
		return err
	}
	env := append(os.Environ(), envLeft+"=1")
	// By its name, so that the running program has one in the new root too; the
	// link is for one that was deleted meanwhile.
	_ = unix.Exec(program, os.Args, env)
	return unix.Exec(executable, os.Args, env)
}
