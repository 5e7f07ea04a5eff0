package container

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/machine"
	"slipway/internal/sandbox"

	"golang.org/x/sys/unix"
)

// cgroupHost is how cgroups are laid out here.
type cgroupHost struct {
	unified string            // where cgroup2 is mounted; empty: nowhere
	own     string            // this process's path in cgroup2
	v1      map[string]string // controller to mount point
	ownV1   map[string]string // controller to this process's path
}

func detectCgroups() (*cgroupHost, error) {
	mounts, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer mounts.Close()
	self, err := os.Open("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	defer self.Close()
	return parseCgroups(mounts, self), nil
}

// parseCgroups reads proc_pid_mountinfo(5) and /proc/PID/cgroup (cgroups(7)).
func parseCgroups(mounts, self io.Reader) *cgroupHost {
	h := &cgroupHost{v1: map[string]string{}, ownV1: map[string]string{}}
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 3 {
			continue
		}
		switch right[0] {
		case "cgroup2":
			if h.unified == "" {
				h.unified = left[4]
			}
		case "cgroup":
			for _, name := range strings.Split(right[2], ",") {
				if name != "rw" && name != "ro" {
					h.v1[name] = left[4]
				}
			}
		}
	}
	for lines := bufio.NewScanner(self); lines.Scan(); {
		f := strings.SplitN(lines.Text(), ":", 3)
		if len(f) != 3 {
			continue
		}
		if f[0] == "0" && f[1] == "" {
			h.own = f[2]
		}
		for _, name := range strings.Split(f[1], ",") {
			if name != "" {
				h.ownV1[name] = f[2]
			}
		}
	}
	return h
}

// cgroups are those of one machine.
type cgroups struct {
	path   string            // in cgroup2; the machine's own subtree
	v1     map[string]string // controller to the machine's folder
	dirs   []string          // everything that was made, to be removed in reverse
	notes  []string          // limits that could not be set, and why
	caller int               // see asCaller
}

// makeCgroups makes a machine's cgroups with its limits.
func makeCgroups(name string, caller int, limits machine.Limits) (*cgroups, error) {
	h, err := detectCgroups()
	if err != nil {
		return nil, err
	}
	if h.unified == "" {
		return nil, errors.New("no cgroup2 is mounted on this host: as root, mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified")
	}
	c := &cgroups{v1: map[string]string{}, caller: caller}
	err = asCaller(caller, func() error {
		base, err := h.base()
		if err != nil {
			return err
		}
		c.path = filepath.Join(base, name)
		for _, dir := range []string{h.unified, base} {
			enable(dir, wantedControllers(limits)) // what is missing then is noticed by limit
		}
		if err := c.mkdir(c.path); err != nil {
			return err
		}
		return c.limit(name, limits, h)
	})
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// base is the folder below which machines get their subtrees: root's own at
// the top, a user's the one that was delegated to this process.
func (h *cgroupHost) base() (string, error) {
	top := filepath.Join(h.unified, "slipway")
	if err := os.Mkdir(top, 0o755); err == nil || errors.Is(err, fs.ErrExist) {
		if writable(top) {
			return top, nil
		}
	}
	own := filepath.Join(h.unified, h.own)
	if filepath.Base(own) == leaf { // see delegate
		own = filepath.Dir(own)
	}
	if writable(own) && writable(filepath.Join(own, "cgroup.procs")) {
		return own, nil
	}
	return "", &DelegationError{Path: own, Fix: sandbox.DelegationFix(h.unified)}
}

// writable asks for the file system identity, which asCaller changes.
func writable(path string) bool {
	return unix.Faccessat2(unix.AT_FDCWD, path, unix.W_OK, unix.AT_EACCESS) == nil
}

// DelegationError means that this user may not make cgroups.
type DelegationError struct{ Path, Fix string }

func (e *DelegationError) Error() string {
	return fmt.Sprintf("a machine needs a cgroup2 folder of its own, and %s is not delegated to you\nhint: %s", e.Path, e.Fix)
}

// enter puts the machine's first process into its cgroups, and then gives the
// subtree to the machine's root, uid as this process sees it, as systemd needs
// it (systemd.io/CGROUP_DELEGATION).
func (c *cgroups) enter(pid, uid int) error {
	err := asCaller(c.caller, func() error {
		for _, dir := range c.dirs {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
				return fmt.Errorf("entering the cgroup %s: %w", dir, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "memory.oom.group"} {
		path := filepath.Join(c.path, name)
		if err := os.Chown(path, uid, uid); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("giving the cgroup to the machine: %w", err)
		}
	}
	return nil
}

func (c *cgroups) mkdir(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrExist) { // left by a supervisor that was killed
		if err = removeCgroup(dir, 0); err == nil {
			err = os.Mkdir(dir, 0o755)
		}
	}
	if err != nil {
		return fmt.Errorf("making the cgroup %s: %w", dir, err)
	}
	c.dirs = append(c.dirs, dir)
	return nil
}

func wantedControllers(l machine.Limits) []string {
	var want []string
	if l.Memory > 0 {
		want = append(want, "memory")
	}
	if l.Tasks > 0 {
		want = append(want, "pids")
	}
	if l.CPUs > 0 {
		want = append(want, "cpu")
	}
	return want
}

func enable(dir string, controllers []string) {
	for _, name := range controllers {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0)
	}
}

// setting is one limit in both hierarchies' words.
type setting struct {
	controller string
	file2      string
	value2     string
	files1     [][2]string
}

func settings(l machine.Limits) []setting {
	var s []setting
	if l.Memory > 0 {
		v := strconv.FormatInt(int64(l.Memory), 10)
		s = append(s, setting{"memory", "memory.max", v, [][2]string{{"memory.limit_in_bytes", v}}})
	}
	if l.Tasks > 0 {
		v := strconv.Itoa(l.Tasks)
		s = append(s, setting{"pids", "pids.max", v, [][2]string{{"pids.max", v}}})
	}
	if l.CPUs > 0 {
		const period = 100000
		v := strconv.Itoa(int(l.CPUs * period))
		s = append(s, setting{"cpu", "cpu.max", v + " " + strconv.Itoa(period),
			[][2]string{{"cpu.cfs_period_us", strconv.Itoa(period)}, {"cpu.cfs_quota_us", v}}})
	}
	return s
}

// limit sets every limit on the hierarchy that has its controller. The memory
// controller is also used without a limit where it is at hand, to know the use.
func (c *cgroups) limit(name string, limits machine.Limits, h *cgroupHost) error {
	for _, s := range settings(limits) {
		if err := os.WriteFile(filepath.Join(c.path, s.file2), []byte(s.value2), 0); err == nil {
			continue
		}
		dir, err := c.dir1(s.controller, name, h)
		if err != nil {
			c.notes = append(c.notes, fmt.Sprintf("the %s limit cannot be set here: %v", s.controller, err))
			continue
		}
		for _, f := range s.files1 {
			if err := os.WriteFile(filepath.Join(dir, f[0]), []byte(f[1]), 0); err != nil {
				return fmt.Errorf("setting the %s limit: %w", s.controller, err)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(c.path, "memory.current")); err != nil && c.v1["memory"] == "" && h.v1["memory"] != "" {
		_, _ = c.dir1("memory", name, h) // without it the use is summed up from the processes
	}
	return nil
}

func (c *cgroups) dir1(controller, name string, h *cgroupHost) (string, error) {
	mount := h.v1[controller]
	if mount == "" {
		return "", fmt.Errorf("the %s controller is not delegated", controller)
	}
	top := filepath.Join(mount, "slipway")
	err := os.Mkdir(top, 0o755)
	dir := filepath.Join(top, name)
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = c.mkdir(dir)
	}
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("the %s controller is not delegated to you; run slipway as root, or on a host with cgroup2 only", controller)
	}
	if err != nil {
		return "", err
	}
	c.v1[controller] = dir
	return dir, nil
}

// memory is what the machine uses now, in bytes. Where no controller counts
// it, the resident pages of its processes are summed up,
// without what they share.
func (c *cgroups) memory() int64 {
	for _, file := range []string{filepath.Join(c.path, "memory.current"), filepath.Join(c.v1["memory"], "memory.usage_in_bytes")} {
		if data, err := os.ReadFile(file); err == nil {
			n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
			return n
		}
	}
	var pages int64
	for _, pid := range processes(c.path) {
		data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if f := strings.Fields(string(data)); len(f) > 2 { // proc(5): size resident shared ...
			resident, _ := strconv.ParseInt(f[1], 10, 64)
			shared, _ := strconv.ParseInt(f[2], 10, 64)
			pages += resident - shared
		}
	}
	return pages * int64(os.Getpagesize())
}

// remove ends what still runs in the cgroups and takes them away, with the
// folder for all machines when this was the last.
func (c *cgroups) remove() error { return removeCgroups(c.dirs, c.caller) }

func removeCgroups(dirs []string, caller int) error {
	var errs []error
	for _, dir := range slices.Backward(dirs) {
		errs = append(errs, removeCgroup(dir, caller))
		if parent := filepath.Dir(dir); filepath.Base(parent) == "slipway" {
			_ = unix.Rmdir(parent) // fails while other machines are there
		}
	}
	return errors.Join(errs...)
}

func removeCgroup(dir string, caller int) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_ = os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0) // only in cgroup2, Linux 5.14
	var err error
	for range 100 {
		if err = removeBelow(dir); err == nil {
			err = asCaller(caller, func() error { return unix.Rmdir(dir) })
		}
		if err == nil {
			return nil
		}
		killAll(dir)
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("removing the cgroup %s: %w", dir, err)
}

// removeBelow removes the cgroups below dir from the leaves up; their files go
// with them.
func removeBelow(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		sub := filepath.Join(dir, e.Name())
		if err = removeBelow(sub); err == nil {
			err = unix.Rmdir(sub)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func killAll(dir string) {
	for _, pid := range processes(dir) {
		if pid > 1 {
			unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// processes lists those in a cgroup and below it.
func processes(dir string) []int {
	var list []int
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil
		}
		data, _ := os.ReadFile(path)
		for _, line := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(line); err == nil {
				list = append(list, pid)
			}
		}
		return nil
	})
	return list
}
