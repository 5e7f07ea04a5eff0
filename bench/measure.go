package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is one run of a program.
type sample struct {
	wall, cpu time.Duration // cpu: user and system, children included
	bytes     int64         // served by the mirror meanwhile
	requests  int64
}

// timed runs a program and its children to their end.
func (b *bench) timed(args ...string) (sample, string, error) {
	b.mirror.count()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SLIPWAY_RUNTIME="+b.runtime, "LC_ALL=C.UTF-8", "NO_COLOR=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = contained(args[0])
	runtime.LockOSThread() // the thread's end would be the program's
	defer runtime.UnlockOSThread()
	begin := time.Now()
	err := cmd.Run()
	s := sample{wall: time.Since(begin)}
	s.bytes, s.requests = b.mirror.count()
	if cmd.ProcessState != nil {
		s.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		tail := stderr.Bytes()
		if len(tail) > 2000 {
			tail = tail[len(tail)-2000:]
		}
		return s, "", fmt.Errorf("running %s: %w\n%s", strings.Join(args, " "), err, tail)
	}
	return s, stdout.String(), nil
}

// peak is the most memory that a run held at once, in bytes: shares of pages
// that several processes hold are counted once (PSS).
type peak struct {
	self, all int64
}

// memory runs a program and samples what it and its children hold. It is a
// run of its own, because sampling costs time.
func (b *bench) memory(args ...string) (peak, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SLIPWAY_RUNTIME="+b.runtime, "LC_ALL=C.UTF-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.SysProcAttr = contained(args[0])
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := cmd.Start(); err != nil {
		return peak{}, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	exe, _ := filepath.EvalSymlinks(args[0])
	var p peak
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				err = fmt.Errorf("running %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
			}
			return p, err
		case <-tick.C:
			now := held(cmd.Process.Pid, exe)
			p.self, p.all = max(p.self, now.self), max(p.all, now.all)
		}
	}
}

// held adds up a process and its descendants; self are those that run exe.
func held(pid int, exe string) peak {
	children := map[int][]int{}
	names, _ := os.ReadDir("/proc")
	for _, d := range names {
		child, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		parent := parentOf(child)
		children[parent] = append(children[parent], child)
	}
	var p peak
	met := map[int]bool{} // numbers may be given anew while we read
	for todo := []int{pid}; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		if met[next] {
			continue
		}
		met[next] = true
		todo = append(todo, children[next]...)
		pss := pssOf(next)
		p.all += pss
		if target, _ := os.Readlink(fmt.Sprintf("/proc/%d/exe", next)); target == exe {
			p.self += pss
		}
	}
	return p
}

func parentOf(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return -1
	}
	_, rest, _ := strings.Cut(string(data[bytes.LastIndexByte(data, ')'):]), " ")
	fields := strings.Fields(rest)
	if len(fields) < 2 {
		return -1
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

func pssOf(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(data), "\n") {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "Pss:" {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// series are the runs of one thing.
type series []sample

func (s series) seconds(of func(sample) time.Duration) []float64 {
	out := make([]float64, len(s))
	for i := range s {
		out[i] = of(s[i]).Seconds()
	}
	slices.Sort(out)
	return out
}

func (s series) wall() []float64 { return s.seconds(func(x sample) time.Duration { return x.wall }) }
func (s series) cpu() []float64  { return s.seconds(func(x sample) time.Duration { return x.cpu }) }

// median of sorted values; the upper one of two.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	return v[len(v)/2]
}
