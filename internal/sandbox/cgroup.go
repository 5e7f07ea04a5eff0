package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroups is the host's control group layout.
type Cgroups struct {
	Layout      string            // "v2", "hybrid" (v1 with an extra cgroup2), "v1" or "none"
	Unified     string            // where cgroup2 is mounted; empty: nowhere
	Controllers map[string]string // controller to the mount of its hierarchy
	Own         string            // this process's cgroup2 directory
	Delegated   string            // cgroup2 directory the caller may make groups in; empty: none
}

// DetectCgroups reads the layout from this process's mounts and groups.
func DetectCgroups() Cgroups {
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	groups, _ := os.ReadFile("/proc/self/cgroup")
	c := parseCgroups(string(mounts), string(groups))
	if c.Unified == "" {
		return c
	}
	list, _ := os.ReadFile(filepath.Join(c.Unified, "cgroup.controllers"))
	for _, name := range strings.Fields(string(list)) {
		c.Controllers[name] = c.Unified
	}
	c.Delegated = delegated(c)
	return c
}

// parseCgroups reads mountinfo and cgroup (proc(5), cgroups(7)).
func parseCgroups(mounts, groups string) Cgroups {
	c := Cgroups{Layout: "none", Controllers: map[string]string{}}
	v1 := false
	for _, line := range strings.Split(mounts, "\n") {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		switch g[0] {
		case "cgroup2":
			if c.Unified == "" {
				c.Unified = f[4]
			}
		case "cgroup":
			v1 = true
			for _, opt := range strings.Split(g[2], ",") {
				if opt != "rw" && opt != "ro" && !strings.Contains(opt, "=") {
					c.Controllers[opt] = f[4]
				}
			}
		}
	}
	switch {
	case v1 && c.Unified != "":
		c.Layout = "hybrid"
	case v1:
		c.Layout = "v1"
	case c.Unified != "":
		c.Layout = "v2"
	}
	for _, line := range strings.Split(groups, "\n") {
		if path, ok := strings.CutPrefix(line, "0::"); ok && c.Unified != "" {
			c.Own = filepath.Join(c.Unified, filepath.Clean("/"+path))
		}
	}
	return c
}

// delegated finds the nearest directory the caller may make groups in and move
// processes into: its own or one above it.
func delegated(c Cgroups) string {
	for dir := c.Own; strings.HasPrefix(dir, c.Unified); dir = filepath.Dir(dir) {
		if unix.Access(dir, unix.W_OK) == nil && unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK) == nil {
			return dir
		}
	}
	return ""
}

func checkCgroups(root bool) Check {
	c := DetectCgroups()
	check := Check{Name: "control groups", OK: c.Unified != ""}
	check.Detail = c.Layout
	if c.Unified != "" {
		check.Detail += ", cgroup2 at " + c.Unified
	} else {
		check.Fix = "mount cgroup2: systemd in a machine needs it (boot the host with systemd.unified_cgroup_hierarchy=1)"
		return check
	}
	var missing []string
	for _, name := range []string{"cpu", "memory", "pids"} {
		if c.Controllers[name] == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		check.Detail += "; no controller for " + strings.Join(missing, ", ") + ", so those limits cannot be set"
	}
	if c.Delegated == "" {
		check.OK = false
		check.Detail += "; no group this user may write to"
		check.Fix = DelegationFix(c.Unified)
		return check
	}
	check.Detail += "; groups can be made in " + c.Delegated
	if !root && slices.Contains(missing, "memory") {
		check.Fix = "have the administrator delegate the controllers: Delegate=yes for user@.service"
	}
	return check
}

// DelegationFix is what gives this user a cgroup2 folder to make groups in: on
// a host of systemd its user manager does, elsewhere root with one line for the
// present session.
func DelegationFix(unified string) string {
	uid := os.Getuid()
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return fmt.Sprintf("have the user manager delegate one: apt-get install dbus-user-session (as root), then loginctl enable-linger %d, "+
			"and log in anew (systemd-run --user --scope -p Delegate=yes true must work)", uid)
	}
	dir := filepath.Join(unified, "slipway-"+strconv.Itoa(uid))
	return fmt.Sprintf("as root: mkdir -p %[1]s && chown %[2]d %[1]s %[1]s/cgroup.procs %[1]s/cgroup.threads %[1]s/cgroup.subtree_control && echo %[3]d > %[1]s/cgroup.procs",
		dir, uid, session())
}

// session is the process from which this terminal's commands inherit their
// cgroup: the session's leader, when it is the user's own and still there.
func session() int {
	if sid, err := unix.Getsid(0); err == nil && sid > 1 && sid != os.Getpid() {
		var st unix.Stat_t
		if unix.Stat(fmt.Sprintf("/proc/%d", sid), &st) == nil && int(st.Uid) == os.Getuid() {
			return sid
		}
	}
	return os.Getppid()
}

func checkKVM() Check {
	check := Check{Name: "KVM"}
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case err == nil:
		unix.Close(fd)
		check.OK, check.Detail = true, "/dev/kvm opens; virtual machines try a tiny guest before they rely on it"
	case errors.Is(err, unix.ENOENT):
		check.Detail = "no /dev/kvm: virtual machines are emulated, which is slow"
		check.Fix = "switch virtualisation on in the firmware, or load the module: modprobe kvm_intel (or kvm_amd)"
	case errors.Is(err, unix.EACCES):
		check.Detail = "/dev/kvm may not be opened by this user: virtual machines are emulated, which is slow"
		check.Fix = "join the group kvm: usermod -aG kvm USER, then log in again"
	default:
		check.Detail = "/dev/kvm: " + err.Error()
	}
	return check
}
