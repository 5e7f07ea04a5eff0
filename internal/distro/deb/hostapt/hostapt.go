// Package hostapt reads how the host's own apt reaches its archive: the
// mirror, proxies, certificates and credentials (sources.list(5),
// apt.conf(5), apt-transport-http(1), apt_auth.conf(5)).
//
// Only the transport is taken over. Options that weaken verification are
// never honoured; they are listed in Ignored so that a person can be told.
// Nothing is executed (Proxy-Auto-Detect is only mentioned).
package hostapt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"slipway/internal/fetch"
)

// Host is the apt configuration of a host.
type Host struct {
	Distro    string // ID of os-release: "debian"
	Codename  string // VERSION_CODENAME of os-release
	Entries   []Entry
	Transport fetch.Transport
	Ignored   []string // options not honoured because they weaken verification
	Notes     []string // what else was passed over, and why

	root string
}

// Read reads the configuration below root ("/" for this host). A host
// without apt has no entries. Files that this user may not read are noted.
func Read(root string) (*Host, error) {
	h := &Host{root: root}
	if err := h.readOSRelease(); err != nil {
		return nil, err
	}
	if err := h.readConf(); err != nil {
		return nil, err
	}
	if err := h.readAuth(); err != nil {
		return nil, err
	}
	return h, h.readSources()
}

// Mirror returns the addresses of distro's archive and security archive that
// the host uses, and how it reaches them. They are empty when the host runs
// another distribution or uses no archive of it; security is also empty when
// the host has no such entry.
func Mirror(root, distro string) (main, security string, transport fetch.Transport, err error) {
	h, err := Read(root)
	if err != nil {
		return "", "", fetch.Transport{}, err
	}
	main, security = h.Mirror(distro)
	if main == "" {
		return "", "", fetch.Transport{}, nil
	}
	return main, security, h.Transport, nil
}

func (h *Host) readOSRelease() error {
	data, err := h.read("/etc/os-release")
	if errors.Is(err, fs.ErrNotExist) {
		data, err = h.read("/usr/lib/os-release")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	scanner := bufio.NewScanner(strings.NewReader(data))
	for scanner.Scan() {
		key, value, _ := strings.Cut(strings.TrimSpace(scanner.Text()), "=")
		value = strings.Trim(value, `"'`)
		switch key {
		case "ID":
			h.Distro = value
		case "VERSION_CODENAME":
			h.Codename = value
		}
	}
	return nil
}

// maxFile bounds a configuration file, in bytes.
const maxFile = 1 << 20

// read returns a file below the root.
func (h *Host) read(name string) (string, error) {
	path := filepath.Join(h.root, name)
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("it is longer than %d bytes", maxFile)
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return string(data), nil
}

// parts lists the files of a folder whose names apt accepts, sorted.
func (h *Host) parts(dir string, suffixes ...string) []string {
	entries, err := os.ReadDir(filepath.Join(h.root, dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.note("%s is not read: %v", dir, err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, ".") || !acceptable(name) {
			continue
		}
		for _, suffix := range suffixes {
			if filepath.Ext(name) == suffix {
				names = append(names, filepath.Join(dir, name))
				break
			}
		}
	}
	sort.Strings(names)
	return names
}

// acceptable holds for the characters apt allows in names of parts.
func acceptable(name string) bool {
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == ""
}

// each reads files that may be absent or unreadable.
func (h *Host) each(names []string, use func(name, text string) error) error {
	for _, name := range names {
		text, err := h.read(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission):
			h.note("%s is not readable for this user", name)
		case err != nil:
			return err
		default:
			if err := use(name, text); err != nil {
				return fmt.Errorf("reading the host's apt configuration, %s: %w", filepath.Join(h.root, name), err)
			}
		}
	}
	return nil
}

func (h *Host) readAuth() error {
	names := append([]string{"/etc/apt/auth.conf"}, h.parts("/etc/apt/auth.conf.d", ".conf")...)
	return h.each(names, func(_, text string) error {
		list, err := fetch.ParseAuth(text)
		h.Transport.Auth = append(h.Transport.Auth, list...)
		return err
	})
}

func (h *Host) note(format string, args ...any) {
	h.Notes = append(h.Notes, fmt.Sprintf(format, args...))
}

func (h *Host) ignore(format string, args ...any) {
	h.Ignored = append(h.Ignored, fmt.Sprintf(format, args...))
}

// yes and no read a boolean as apt does.
func yes(s string) bool { return oneOf(s, "1", "yes", "true", "with", "on", "enable") }
func no(s string) bool  { return oneOf(s, "0", "no", "false", "without", "off", "disable") }

func oneOf(s string, words ...string) bool {
	for _, w := range words {
		if strings.EqualFold(s, w) {
			return true
		}
	}
	return false
}
