package apkfile

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"slipway/internal/distro/apk/index"
)

// Info is what a package says of itself.
type Info struct {
	index.Package
	DataHash         []byte // SHA-256 of the data stream
	Replaces         []index.Dependency
	ReplacesPriority int
	Triggers         []string // patterns of folders
	Signatures       *Segment // nil: unsigned
	Control          *Segment
	data             int64 // where the data stream begins
	size             int64
}

// Read reads a file's signatures and control.
func Read(path string) (*Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("opening package: %w", err)
	}
	return ReadFrom(filepath.Base(path), f, st.Size(), Limits{})
}

// ReadFrom is Read for bytes that are not a file; name is for errors.
func ReadFrom(name string, r io.ReaderAt, size int64, limits Limits) (*Info, error) {
	limits = limits.Or(DefaultLimits)
	signatures, offset, err := ReadSigned(r, size)
	if err != nil {
		return nil, &Error{name, "first", err}
	}
	control, err := readSegment(r, size, offset, limits.Control)
	if err != nil {
		return nil, &Error{name, "control", err}
	}
	text, ok := control.find(".PKGINFO")
	if !ok {
		return nil, &Error{name, "control", fmt.Errorf("%w: no .PKGINFO", ErrFormat)}
	}
	i, err := ParseInfo(text)
	if err != nil {
		return nil, &Error{name, "control", err}
	}
	sum := sha1.Sum(control.Raw)
	i.Identity = index.Identity(sum[:])
	i.Size, i.Signatures, i.Control = size, signatures, control
	i.data, i.size = offset+int64(len(control.Raw)), size
	return i, nil
}

// Signed wants a signature of the control by a trusted key.
func (i *Info) Signed(keys Keys) (string, error) {
	return Verify(i.Signatures, bytes.NewReader(i.Control.Raw), keys)
}

// ParseInfo reads .PKGINFO: lines "key = value", of which some come again.
func ParseInfo(text []byte) (*Info, error) {
	i := &Info{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		key, value, ok := strings.Cut(line, " = ")
		if !ok || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.ContainsAny(value, "\r\x00") {
			return nil, fmt.Errorf("%w: .PKGINFO: %.60q", ErrFormat, line)
		}
		if err := i.field(key, value); err != nil {
			return nil, fmt.Errorf(".PKGINFO: %s: %w", key, err)
		}
	}
	if !index.ValidName(i.Name) || i.Version == "" || strings.ContainsAny(i.Version, "/ \t") {
		return nil, fmt.Errorf("%w: .PKGINFO names the package %.60q in version %.60q", ErrFormat, i.Name, i.Version)
	}
	return i, nil
}

func (i *Info) field(key, value string) (err error) {
	switch key {
	case "pkgname":
		i.Name = value
	case "pkgver":
		i.Version = value
	case "pkgdesc":
		i.Description = value
	case "url":
		i.URL = value
	case "arch":
		i.Arch = value
	case "license":
		i.License = value
	case "origin":
		i.Origin = value
	case "maintainer":
		i.Maintainer = value
	case "commit":
		i.Commit = value
	case "triggers":
		i.Triggers = strings.Fields(value)
	case "size":
		i.InstalledSize, err = number(value)
	case "builddate":
		i.BuildTime, err = number(value)
	case "provider_priority":
		i.Priority, err = small(value)
	case "replaces_priority":
		i.ReplacesPriority, err = small(value)
	case "datahash":
		if i.DataHash, err = hex.DecodeString(value); err == nil && len(i.DataHash) != 32 {
			err = fmt.Errorf("%w: %.80q is no SHA-256", ErrFormat, value)
		}
	case "depend":
		err = add(&i.Depends, value)
	case "provides":
		err = add(&i.Provides, value)
	case "install_if":
		err = add(&i.InstallIf, value)
	case "replaces":
		err = add(&i.Replaces, value)
	}
	return err
}

func add(list *[]index.Dependency, value string) error {
	more, err := index.ParseDependencies(value)
	*list = append(*list, more...)
	return err
}

func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 63)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %.40q is no number", ErrFormat, text)
	}
	return n, nil
}

func small(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%w: %.40q is no number below 65536", ErrFormat, text)
	}
	return int(n), nil
}
