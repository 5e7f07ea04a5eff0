package kit

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
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
		s["mount "+f[4]+" "+f[len(f)-3]] = true
	}
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		s["interface "+i.Name] = true
	}
	for _, pid := range w.Processes() {
		s[fmt.Sprintf("process %d %s", pid, Cmdline(pid))] = true
	}
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, "slipway") {
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
