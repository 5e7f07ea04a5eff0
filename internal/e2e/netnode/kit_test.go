// Package netnode boots what runs on a machine that starts over the network:
// the kernel is given to QEMU, and the server runs in the test. How machines
// get there is tested elsewhere.
package netnode

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/boot"
	"slipway/internal/build"
	"slipway/internal/distro"
	"slipway/internal/distro/deb"
	"slipway/internal/e2e/kit"
	"slipway/internal/fleet"
	"slipway/internal/machine"
	"slipway/internal/netboot/node"
	"slipway/internal/plan"
	"slipway/internal/progress"
	"slipway/internal/sandbox"
	"slipway/internal/store"
	"slipway/internal/target/qemu"
	"slipway/internal/tools"
)

func TestMain(m *testing.M) {
	build.Installers["debian"] = deb.Installer{}
	kit.Main(m)
}

// tinyText is a machine whose init says that it is there, and on what.
const tinyText = `slipway: v1
name: node1
system: debian/trixie
base: essential
init: /usr/local/sbin/tiny
kernel: {package: linux-image-cloud-amd64}
slim: [docs, man, info, locales, apt_lists]
disk: {size: 900M}
files:
  - path: /usr/local/sbin/tiny
    mode: "0755"
    content: |
      #!/bin/sh
      echo "tiny: up on $(sed -n 's/^\([^ ]*\) \/ .*/\1/p' /proc/mounts | tail -1) $(cat /etc/flavour 2>/dev/null)" > /dev/console
      while :; do sleep 1000; done
`

// bench is a server and what it knows.
type bench struct {
	t       *testing.T
	dir     string
	builder *build.Builder
	tools   *tools.Tools
	accel   *qemu.Accel
	key     ed25519.PrivateKey
	shelf   node.Shelf
	records node.Memory
	server  *httptest.Server
	offer   func(*node.Question) (*node.Offer, error)
	refuse  func(r *http.Request) bool // of reports: the line breaks

	mu       sync.Mutex
	events   []fleet.Event
	hardware *node.Hardware
}

func newBench(t *testing.T) *bench {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("the machines of this test are for amd64")
	}
	kit.LockQEMU(t)
	b := &bench{t: t, dir: kit.TempDir(t)}
	s, err := store.Open(filepath.Join(kit.CacheDir(t), "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Flush(); s.Close() })
	host, err := sandbox.Detect()
	if err != nil {
		t.Fatal(err)
	}
	report := progress.New(io.Discard, progress.Quiet, false)
	family := deb.New(s)
	b.tools = tools.Open(t.Context(), tools.Deps{Store: s, Family: family, Progress: report})
	b.builder = &build.Builder{Store: s, Host: host, Progress: report, Families: map[string]distro.Family{"debian": family}, Tools: b.tools}
	if b.accel, err = qemu.Accelerator(t.Context(), b.tools, "amd64", filepath.Join(s.Dir(), "notes")); err != nil {
		t.Fatal(err)
	}
	if b.key, err = node.Key(b.dir); err != nil {
		t.Fatal(err)
	}
	b.serve()
	return b
}

func (b *bench) serve() {
	h := &node.Handler{
		Key: b.key, Shelf: &b.shelf, Records: &b.records, Sink: fleet.SinkFunc(b.record),
		Client: func(_ *http.Request, token string) (node.Client, error) {
			switch token {
			case "good":
				return node.Client{Machine: "node1"}, nil
			case "nobody":
				return node.Client{}, nil
			}
			return node.Client{}, node.ErrToken
		},
		Offer: func(_ context.Context, _ node.Client, q *node.Question) (*node.Offer, error) {
			b.mu.Lock()
			b.hardware = q.Hardware
			b.mu.Unlock()
			return b.offer(q)
		},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/n/", func(w http.ResponseWriter, r *http.Request) {
		if b.refuse != nil && b.refuse(r) {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	})
	b.server = httptest.NewServer(mux)
	b.t.Cleanup(b.server.Close)
}

func (b *bench) record(e fleet.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	b.t.Logf("%-14s %s %s %d/%d", e.Kind, e.Text, e.Problem, e.Bytes, e.Total)
}

// heard tells whether an event says something.
func (b *bench) heard(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if strings.Contains(e.Text+" "+e.Problem, text) {
			return true
		}
	}
	return false
}

// address is the server as a machine behind QEMU's own network sees it.
func (b *bench) address(token string) string {
	_, port, _ := strings.Cut(strings.TrimPrefix(b.server.URL, "http://"), ":")
	return "http://10.0.2.2:" + port + "/n/" + token + "/"
}

// build makes what a machine starts from.
func (b *bench) build(text string, target boot.Target) *build.Boot {
	b.t.Helper()
	d, err := machine.Load(kit.Write(b.t, b.dir, "node.yaml", text), machine.Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	r, err := b.builder.Build(b.t.Context(), d, build.Options{Class: plan.Bootable})
	if err != nil {
		b.t.Fatal(err)
	}
	made, err := b.builder.Boot(b.t.Context(), r, target)
	if err != nil {
		b.t.Fatal(err)
	}
	return made
}

// initrd adds the program to an initramfs.
func (b *bench) initrd(base string, c node.Config) string {
	b.t.Helper()
	c.Key = node.EncodeKey(b.key.Public().(ed25519.PublicKey))
	out := filepath.Join(b.dir, "initrd")
	f, err := os.Create(out)
	if err != nil {
		b.t.Fatal(err)
	}
	in, err := os.Open(base)
	if err != nil {
		b.t.Fatal(err)
	}
	defer in.Close()
	err = node.Initrd(f, in, node.Payload{Program: kit.Binary(b.t), Config: c})
	if err = errors.Join(err, f.Close()); err != nil {
		b.t.Fatal(err)
	}
	return out
}

// disk makes an empty disk.
func (b *bench) disk(name string, size int64) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// vm is a machine with one card in QEMU's own network.
func (b *bench) vm(c qemu.Config) qemu.Config {
	c.Programs, c.Accel, c.Arch = b.tools, b.accel, "amd64"
	c.Name, c.CPUs, c.NoAgent, c.NoReboot = "node1", 2, true, true
	c.RunDir = filepath.Join(b.dir, fmt.Sprintf("run%d", time.Now().UnixNano()))
	os.Mkdir(c.RunDir, 0o700)
	if c.Memory == 0 {
		c.Memory = 768 << 20
	}
	if b.accel.Name == "tcg" {
		c.CPU = "max,-erms,-fsrm"
	}
	return c
}

// card is a network card in QEMU's own network, which has a DHCP server.
func card(more string) []string {
	return []string{"-netdev", "user,id=u0" + more, "-device", "virtio-net-pci,netdev=u0,mac=52:54:00:aa:bb:01"}
}

// boots starts a machine and waits until its console says a text, or (with
// none) until it ends. It gives what the console said.
func (b *bench) boots(c qemu.Config, until string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 6*time.Minute)
	defer cancel()
	vm, err := qemu.Start(ctx, c)
	if err != nil {
		b.t.Fatal(err)
	}
	w := &watcher{want: until, found: make(chan struct{})}
	read := make(chan struct{})
	go func() { defer close(read); io.Copy(w, vm.Console) }()
	ended := make(chan error, 1)
	go func() { ended <- vm.Wait() }()
	select {
	case <-w.found:
		vm.Quit(context.WithoutCancel(ctx))
		<-ended
	case <-ended:
		<-read
		if until != "" {
			b.t.Fatalf("the machine ended before its console said %q:\n%s", until, w.text())
		}
	case <-ctx.Done():
		vm.Quit(context.WithoutCancel(ctx))
		b.t.Fatalf("the console did not say %q in time:\n%s", until, w.text())
	}
	return w.text()
}

// watcher waits for a text.
type watcher struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	want  string
	found chan struct{}
	once  sync.Once
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf.Write(p)
	if w.want != "" && bytes.Contains(w.buf.Bytes(), []byte(w.want)) {
		w.once.Do(func() { close(w.found) })
	}
	return len(p), nil
}

func (w *watcher) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

func (b *bench) shelve(path, kind string) *node.Artefact {
	b.t.Helper()
	a, err := b.shelf.Add(b.t.Context(), path, kind)
	if err != nil {
		b.t.Fatal(err)
	}
	return a
}
