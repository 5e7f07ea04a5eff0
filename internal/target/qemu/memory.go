package qemu

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// MemoryError says that the host has less memory than a machine wants.
type MemoryError struct {
	Machine         string
	Want, Available int64 // bytes
}

func (e *MemoryError) Error() string {
	return fmt.Sprintf("machine %s wants %s of memory, and this host has %s available\nhint: give it less memory, or stop other machines",
		e.Machine, Bytes(e.Want), Bytes(e.Available))
}

// checkHost refuses a machine that cannot fit, before the host runs out.
func (c *Config) checkHost() error {
	available, err := availableMemory("/proc/meminfo")
	if err != nil {
		return nil // not known: QEMU will tell
	}
	if c.Memory > available {
		return &MemoryError{c.Name, c.Memory, available}
	}
	return nil
}

// availableMemory is the kernel's own estimate, in bytes.
func availableMemory(meminfo string) (int64, error) {
	f, err := os.Open(meminfo)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "MemAvailable:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(rest, "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, fmt.Errorf("%s does not say MemAvailable", meminfo)
}

// Bytes writes a size for people, in powers of 1024.
func Bytes(n int64) string {
	for _, u := range []struct {
		shift uint
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n >= 1<<u.shift {
			text := strconv.FormatFloat(float64(n)/float64(int64(1)<<u.shift), 'f', 1, 64)
			return strings.TrimSuffix(text, ".0") + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}
