package deb

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"strings"

	"slipway/internal/distro"
)

// Installed implements distro.Family.
func (f *Family) Installed(read func(path string) ([]byte, error)) ([]distro.Installed, error) {
	data, err := read("var/lib/dpkg/status")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseStatus(data)
}

// parseStatus reads the few fields of dpkg's status that name a package.
func parseStatus(data []byte) ([]distro.Installed, error) {
	var out []distro.Installed
	var p distro.Installed
	lines := bufio.NewScanner(bytes.NewReader(append(data, '\n')))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), ": ")
		switch {
		case lines.Text() == "":
			if p.Name != "" {
				out = append(out, p)
			}
			p = distro.Installed{}
		case !ok:
		case key == "Package":
			p.Name = value
		case key == "Version":
			p.Version = value
		case key == "Architecture":
			p.Arch = value
		}
	}
	return out, lines.Err()
}

// Query implements distro.Family.
func (f *Family) Query() []string {
	return []string{"dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package} ${Architecture} ${Version}\n"}
}

// Answer implements distro.Family.
func (f *Family) Answer(output []byte) ([]distro.Installed, error) {
	var out []distro.Installed
	for line := range strings.Lines(string(output)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == "ii" {
			out = append(out, distro.Installed{Name: f[1], Version: f[3], Arch: f[2]})
		}
	}
	return out, nil
}
