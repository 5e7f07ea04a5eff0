package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slipway/internal/distro/deb/archive"
	"slipway/internal/distro/deb/hostapt"
	"slipway/internal/fetch"
)

// mirror serves Debian's archive on the loopback interface. A file is fetched
// through the host's own apt configuration when it is first asked for, and
// from then on it comes from disk, with the archive's own signatures: clients
// verify it as they would verify any mirror.
type mirror struct {
	dir      string
	base     map[string]string // "debian", "debian-security": where they come from
	client   *http.Client
	server   *http.Server
	address  string
	missing  sync.Map // paths that the archive does not have
	locks    sync.Map // path: *sync.Mutex
	bytes    atomic.Int64
	requests atomic.Int64
}

// releaseAge is how long a Release file is kept: all runs of a day see one state.
const releaseAge = 12 * time.Hour

func startMirror(dir string) (*mirror, error) {
	main, security, transport, err := hostapt.Mirror("/", "debian")
	if err != nil {
		return nil, fmt.Errorf("reading the host's apt configuration: %w", err)
	}
	m := &mirror{dir: dir, base: map[string]string{"debian": archive.Debian.Official.Main, "debian-security": archive.Debian.Official.Security}}
	if main != "" {
		m.base["debian"] = strings.TrimRight(main, "/")
		m.base["debian-security"] = strings.TrimRight(archive.Debian.Security(archive.Mirror{Main: main, Security: security})[0], "/")
	}
	if m.client, err = fetch.NewClient(transport); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m.address = "http://" + l.Addr().String()
	m.server = &http.Server{Handler: m}
	go m.server.Serve(l)
	return m, nil
}

func (m *mirror) close() { m.server.Close() }

// count returns what was served since the last call.
func (m *mirror) count() (bytes, requests int64) { return m.bytes.Swap(0), m.requests.Swap(0) }

func (m *mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.requests.Add(1)
	name := path.Clean(r.URL.Path)
	file := filepath.Join(m.dir, filepath.FromSlash(name))
	if err := m.have(name, file); err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	f, err := os.Open(file)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.IsDir() {
		http.NotFound(w, r)
		return
	}
	http.ServeContent(&counter{w, m}, r, "", st.ModTime(), f)
}

// counter counts the bytes of bodies. ReadFrom keeps sendfile(2) working.
type counter struct {
	http.ResponseWriter
	m *mirror
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.m.bytes.Add(int64(n))
	return n, err
}

func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.m.bytes.Add(n)
	return n, err
}

// have fetches a file that is not there yet.
func (m *mirror) have(name, file string) error {
	lock, _ := m.locks.LoadOrStore(name, new(sync.Mutex))
	lock.(*sync.Mutex).Lock()
	defer lock.(*sync.Mutex).Unlock()
	if _, ok := m.missing.Load(name); ok {
		return fmt.Errorf("%s is not in the archive", name)
	}
	if _, err := os.Stat(file); err == nil && !(isRelease(name) && time.Since(fetched(file)) > releaseAge) {
		return nil
	}
	archive, rest, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
	base, ok := m.base[archive]
	if !ok || rest == "" {
		return fmt.Errorf("%s is no archive that is mirrored", name)
	}
	res, err := m.client.Get(base + "/" + rest)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotFound || res.StatusCode == http.StatusForbidden {
		m.missing.Store(name, true)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("fetching %s: %s", rest, res.Status)
	}
	return keep(file, res)
}

// isRelease tells the files that change under their name.
func isRelease(name string) bool {
	switch path.Base(name) {
	case "InRelease", "Release", "Release.gpg":
		return true
	}
	return false
}

// fetched is when a file came: its modification time is the archive's.
func fetched(file string) time.Time {
	st, err := os.Stat(file + ".fetched")
	if err != nil {
		return time.Time{}
	}
	return st.ModTime()
}

func keep(file string, res *http.Response) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = io.Copy(f, res.Body)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if at, err := http.ParseTime(res.Header.Get("Last-Modified")); err == nil {
		os.Chtimes(f.Name(), at, at)
	}
	if isRelease(res.Request.URL.Path) {
		if err := os.WriteFile(file+".fetched", nil, 0o644); err != nil {
			return err
		}
	}
	return os.Rename(f.Name(), file)
}
