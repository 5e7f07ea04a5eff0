package kit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// Snapshot is what a machine could leave behind on the host.
type Snapshot map[string]bool

// Host takes a picture of mounts, interfaces, cgroups and the processes that
// belong to this world (by its folders in their environment or arguments).
func (w *World) Host(t testing.TB) Snapshot {
	t.Helper()
	s := Snapshot{}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(mounts)), "\n") {
		f := strings.Fields(line)
		for _, dir := range []string{w.Dir, w.Store, w.Runtime} {
			if strings.HasPrefix(f[4], dir) {
				s["mount "+f[4]] = true
			}
		}
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if strings.HasPrefix(i.Name, "slipway") {
			s["interface "+i.Name] = true
		}
	}
	for _, pid := range w.Processes() {
		s[fmt.Sprintf("process %d %s", pid, Cmdline(pid))] = true
	}
	// A machine's cgroups are called after it and its runtime folder, so that
	// those of tests that run at the same time are not taken for ours.
	sum := sha256.Sum256([]byte(w.Runtime))
	ours := "-" + hex.EncodeToString(sum[:4])
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasSuffix(path, ours) {
			s["cgroup "+path] = true
		}
		return nil
	})
	return s
}

// Left lists what is there now and was not before.
func (w *World) Left(t testing.TB, before Snapshot) []string {
	t.Helper()
	var out []string
	for what := range w.Host(t) {
		if !before[what] {
			out = append(out, what)
		}
	}
	sort.Strings(out)
	return out
}

// Processes lists the processes of this world: those that slipway started
// have its folders in their environment or on their command line.
func (w *World) Processes() []int {
	var out []int
	names, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range names {
		var pid int
		fmt.Sscanf(filepath.Base(dir), "%d", &pid)
		if pid == os.Getpid() {
			continue
		}
		env, _ := os.ReadFile(dir + "/environ")
		line, _ := os.ReadFile(dir + "/cmdline")
		if strings.Contains(string(env)+string(line), w.Runtime) {
			out = append(out, pid)
		}
	}
	return out
}

// Cmdline is a process's command line for a message.
func Cmdline(pid int) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
}

// Settled is Left after what is ending had a moment to end.
func (w *World) Settled(t testing.TB, before Snapshot) []string {
	t.Helper()
	var left []string
	for range 200 {
		if left = w.Left(t, before); len(left) == 0 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return left
}

// Limits tells whether the host lets this user limit machines: root has the
// controllers always, another user those that were delegated on cgroup2.
func (w *World) Limits(t testing.TB) bool {
	t.Helper()
	if os.Geteuid() == 0 {
		return true
	}
	data, err := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return err == nil && strings.Contains(string(data), "memory") && strings.Contains(string(data), "pids")
}
