package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Problem is something about the host that stands in the way, with its remedy.
type Problem struct {
	Text string // what is wrong
	Fix  string // what a person can do about it, in one line
}

func (p *Problem) Error() string {
	if p.Fix == "" {
		return p.Text
	}
	return p.Text + "; " + p.Fix
}

// Host is what this machine lets the caller do.
type Host struct {
	Root      bool   // the caller is root and uses the fixed range
	UID, GID  int    // the caller's ids
	User      string // the caller's name, or its number when it has none
	UIDs      Range  // where tree ids 0..65535 live on the host
	GIDs      Range
	NewUIDMap string // path of the helper that writes uid maps; empty for root
	NewGIDMap string

	lastCap uintptr
	problem error
}

// Detect finds out how workers can be started. The Host is never nil; the
// error (also given by Start) says what is missing and how to get it.
func Detect() (*Host, error) {
	h := &Host{UID: os.Geteuid(), GID: os.Getegid(), lastCap: lastCapability()}
	h.Root = h.UID == 0
	h.User = strconv.Itoa(h.UID)
	if u, err := user.LookupId(h.User); err == nil {
		h.User = u.Username
	}
	h.problem = h.detect()
	return h, h.problem
}

func (h *Host) detect() error {
	if err := userNamespacesAllowed(); err != nil {
		return err
	}
	if h.Root {
		return h.detectRoot()
	}
	return h.detectUser()
}

func (h *Host) detectRoot() error {
	h.UIDs = Range{rootStart, idCount}
	h.GIDs = Range{rootStart, idCount}
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("reading this process's id map: %w", err)
		}
		if !mapCovers(string(text), rootStart, idCount) {
			return &Problem{
				Text: fmt.Sprintf("root here has no ids %d..%d (%s): this is a container with a small id map", rootStart, rootStart+idCount-1, file),
				Fix:  "run slipway on the host, or give the container the full id range",
			}
		}
	}
	return nil
}

// mapCovers says whether the uid_map text maps all ids from start on.
func mapCovers(text string, start, count int64) bool {
	for _, line := range strings.Split(text, "\n") {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		first, err1 := strconv.ParseInt(f[0], 10, 64)
		n, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 == nil && err2 == nil && first <= start && start+count <= first+n {
			return true
		}
	}
	return false
}

func (h *Host) detectUser() error {
	var problems []error
	for _, t := range []struct {
		path *string
		name string
	}{{&h.NewUIDMap, "newuidmap"}, {&h.NewGIDMap, "newgidmap"}} {
		p, err := exec.LookPath(t.name)
		if err != nil {
			problems = append(problems, &Problem{Text: t.name + " is not installed", Fix: uidmapRemedy()})
			break
		}
		*t.path = p
	}
	var err error
	if h.UIDs, err = readSubIDs("/etc/subuid", "--add-subuids", h.User, h.UID); err != nil {
		problems = append(problems, err)
	}
	if h.GIDs, err = readSubIDs("/etc/subgid", "--add-subgids", h.User, h.UID); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// uidmapRemedy names the package in the words of the host's package manager.
func uidmapRemedy() string {
	for _, m := range []struct{ tool, text string }{
		{"apt-get", "install the uidmap package: apt-get install uidmap"},
		{"dnf", "install the shadow-utils package: dnf install shadow-utils"},
		{"pacman", "install the shadow package: pacman -S shadow"},
		{"apk", "install the shadow-uidmap package: apk add shadow-uidmap"},
		{"zypper", "install the shadow package: zypper install shadow"},
	} {
		if _, err := exec.LookPath(m.tool); err == nil {
			return m.text
		}
	}
	return "install the package that has newuidmap (uidmap or shadow)"
}

// userNamespacesAllowed reads the three switches distributions use to forbid
// user namespaces. A missing file means the switch does not exist here.
func userNamespacesAllowed() error {
	if _, err := os.Stat("/proc/self"); err != nil {
		return &Problem{Text: "there is no /proc", Fix: "mount it: mount -t proc proc /proc"}
	}
	if sysctl("user/max_user_namespaces") == "0" {
		return &Problem{Text: "user namespaces are switched off", Fix: "run as root: sysctl -w user.max_user_namespaces=15000"}
	}
	if _, err := os.Stat("/proc/self/ns/user"); err != nil {
		return &Problem{Text: "this kernel has no user namespaces", Fix: "use a kernel with CONFIG_USER_NS"}
	}
	if os.Geteuid() == 0 {
		return nil
	}
	if sysctl("kernel/unprivileged_userns_clone") == "0" {
		return &Problem{Text: "user namespaces are forbidden to normal users", Fix: "run as root: sysctl -w kernel.unprivileged_userns_clone=1"}
	}
	return nil
}

// appArmorRestricts says that AppArmor takes the capabilities of user
// namespaces away from programs without a profile (Ubuntu 24.04 and later).
func appArmorRestricts() bool {
	return sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1"
}

func sysctl(name string) string {
	data, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// lastCapability is the highest capability the kernel knows.
func lastCapability() uintptr {
	if n, err := strconv.Atoi(sysctl("kernel/cap_last_cap")); err == nil {
		return uintptr(n)
	}
	return unix.CAP_LAST_CAP
}
