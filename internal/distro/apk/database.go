package apk

import (
	"errors"
	"io/fs"
	"strings"

	"slipway/internal/distro"
)

const installedFile = "lib/apk/db/installed"

// Installed implements distro.Family.
func (f *Family) Installed(read func(path string) ([]byte, error)) ([]distro.Installed, error) {
	data, err := read(installedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return f.Answer(data)
}

// Query implements distro.Family.
func (f *Family) Query() []string { return []string{"cat", "/" + installedFile} }

// Answer implements distro.Family.
func (f *Family) Answer(output []byte) ([]distro.Installed, error) {
	var out []distro.Installed
	for block := range strings.SplitSeq(string(output), "\n\n") {
		var p distro.Installed
		for line := range strings.Lines(block) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case strings.HasPrefix(line, "P:"):
				p.Name = line[2:]
			case strings.HasPrefix(line, "V:"):
				p.Version = line[2:]
			case strings.HasPrefix(line, "A:"):
				p.Arch = line[2:]
			}
		}
		if p.Name != "" {
			out = append(out, p)
		}
	}
	return out, nil
}
