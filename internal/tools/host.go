package tools

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Host is what this computer has of a set by itself.
type Host struct {
	Program string `json:"program"` // path; "" when it is missing
	Version string `json:"version"` // "" where no version is asked for
	Good    bool   `json:"good"`    // it is used
	Why     string `json:"why"`     // why it is not
}

// onHost looks for a set among the host's programs.
func (s *Set) onHost(ctx context.Context, root, _ string) Host {
	var h Host
	if s.TreeOnly {
		h.Why = "its files go into a virtual machine"
		return h
	}
	name, err := findProgram(root, s.Program)
	if err != nil {
		h.Why = s.Program + " is not installed"
		return h
	}
	h.Program = name
	for _, need := range s.Needs {
		if _, err := os.Stat(filepath.Join(root, need)); err != nil {
			h.Why = need + " is missing"
			return h
		}
	}
	if s.Least == "" {
		h.Good = true
		return h
	}
	if h.Version, err = versionOf(ctx, name); err != nil {
		h.Why = err.Error()
		return h
	}
	if olderThan(h.Version, s.Least) {
		h.Why = fmt.Sprintf("version %s is older than %s", h.Version, s.Least)
		return h
	}
	h.Good = true
	return h
}

var versionWord = regexp.MustCompile(`\bversion (\d+(\.\d+)*)`)

// versionOf asks a program for its version.
func versionOf(ctx context.Context, program string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	cmd.Env = environment()
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", program, err)
	}
	m := versionWord.FindSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("%s --version names no version", program)
	}
	return string(m[1]), nil
}

// olderThan compares dotted numbers; what is missing counts as 0.
func olderThan(version, least string) bool {
	a, b := strings.Split(version, "."), strings.Split(least, ".")
	for i := range max(len(a), len(b)) {
		x, y := number(a, i), number(b, i)
		if x != y {
			return x < y
		}
	}
	return false
}

func number(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n, _ := strconv.Atoi(parts[i])
	return n
}
