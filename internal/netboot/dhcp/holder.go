package dhcp

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// holder names the processes that have a UDP port of this network namespace
// open, as far as this user may see them.
func holder(port int) string {
	inodes := map[string]bool{}
	for _, file := range []string{"/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"} {
		for _, inode := range udpInodes(file, port) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	var names []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		fds, _ := os.ReadDir(filepath.Join(dir, "fd"))
		for _, fd := range fds {
			to, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			if err != nil || !inodes[to] {
				continue
			}
			comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
			names = append(names, fmt.Sprintf("%s (process %s)", bytes.TrimSpace(comm), filepath.Base(dir)))
			break
		}
	}
	if len(names) == 0 {
		return "another process, which only root can name"
	}
	return strings.Join(names, " and ")
}

// udpInodes reads a table of sockets (proc(5), /proc/net/udp): the inodes of
// those bound to the port.
func udpInodes(file string, port int) []string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var out []string
	suffix := fmt.Sprintf(":%04X", port)
	for scan := bufio.NewScanner(f); scan.Scan(); {
		fields := strings.Fields(scan.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) {
			out = append(out, fields[9])
		}
	}
	return out
}
