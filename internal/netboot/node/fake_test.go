package node

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/bootfiles"
	"slipway/internal/fleet"
)

// fakeMachine is a machine with disks that are files, and a folder as its
// memory.
type fakeMachine struct {
	t    *testing.T
	dir  string
	free int64
	got  []string // what became of it

	prove *staying // what stays behind
}

func newMachine(t *testing.T) *fakeMachine {
	m := &fakeMachine{t: t, dir: t.TempDir(), free: 1 << 30}
	for _, dir := range []string{"sys/block", "sys/class/block", "dev", "proc", "root/slipway", "memory", "sys/bus/pci"} {
		m.must(os.MkdirAll(filepath.Join(m.dir, dir), 0o755))
	}
	m.write("proc/meminfo", "MemTotal:  1048576 kB\n")
	return m
}

func (m *fakeMachine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *fakeMachine) write(name, text string) {
	path := filepath.Join(m.dir, name)
	m.must(errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)))
}

// disk adds a virtio disk in a PCI slot.
func (m *fakeMachine) disk(name, serial, slot string, size int64) string {
	m.t.Helper()
	pci := "sys/devices/pci0000:00/0000:00:" + slot
	device := pci + "/virtio-" + name
	m.write(device+"/block/"+name+"/size", fmt.Sprint(size/512))
	m.write(device+"/block/"+name+"/serial", serial)
	m.must(os.Symlink("../../../bus/pci", filepath.Join(m.dir, pci, "subsystem")))
	full := filepath.Join(m.dir, device, "block", name)
	m.must(os.Symlink("../..", filepath.Join(full, "device")))
	m.must(os.Symlink(full, filepath.Join(m.dir, "sys/class/block", name)))
	m.must(os.Symlink(full, filepath.Join(m.dir, "sys/block", name)))
	path := filepath.Join(m.dir, "dev", name)
	m.must(errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)))
	return path
}

func (m *fakeMachine) scanner() *Scanner {
	at := func(name string) string { return filepath.Join(m.dir, name) }
	return &Scanner{Sys: at("sys"), Dev: at("dev"), Proc: at("proc"), Root: at("root")}
}

func (m *fakeMachine) HandOver(root string, prove *staying) error {
	m.got, m.prove = append(m.got, "ram "+root), prove
	return nil
}
func (m *fakeMachine) Keep(_ context.Context, device, root string, state *bootfiles.State) error {
	m.got = append(m.got, fmt.Sprintf("keep %v of %s on %s", state.Folders, root, filepath.Base(device)))
	return nil
}
func (m *fakeMachine) Restart() error { m.got = append(m.got, "restart"); return nil }
func (m *fakeMachine) Free() int64    { return m.free }
func (m *fakeMachine) Root() string   { return "root.squashfs" }
func (m *fakeMachine) Kexec(k, i, words string) error {
	m.got = append(m.got, "kexec "+words)
	return nil
}
func (m *fakeMachine) Create(name string) (file, error) {
	return os.Create(filepath.Join(m.dir, "memory", name))
}

// world is a server and a machine.
type world struct {
	t       *testing.T
	key     ed25519.PrivateKey
	machine *fakeMachine
	shelf   Shelf
	records Memory
	handler *Handler
	offer   *Offer
	server  *httptest.Server
	// before may answer in the handler's place, or break the line.
	before func(w http.ResponseWriter, r *http.Request) bool

	mu     sync.Mutex
	events []fleet.Event
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, machine: newMachine(t)}
	var err error
	if w.key, err = Key(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.handler = &Handler{
		Shelf: &w.shelf,
		Key:   w.key, Records: &w.records, Sink: fleet.SinkFunc(func(e fleet.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		}),
		Client: func(_ *http.Request, token string) (Client, error) {
			if token != "good" {
				return Client{}, ErrToken
			}
			return Client{Machine: "node"}, nil
		},
		Offer: func(context.Context, Client, *Question) (*Offer, error) { return w.offer, nil },
	}
	w.server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case w.before != nil && w.before(rw, r):
		default:
			w.handler.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(w.server.Close)
	return w
}

func (w *world) heard(text string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if strings.Contains(e.Kind+" "+e.Text+" "+e.Problem, text) {
			return true
		}
	}
	return false
}

// program is the machine's, after a start.
func (w *world) program() *program {
	w.t.Helper()
	say := func(format string, args ...any) { w.t.Logf(format, args...) }
	srv, err := newServer(w.server.URL+"/n/good/", say)
	if err != nil {
		w.t.Fatal(err)
	}
	srv.pause = time.Millisecond
	return &program{
		cfg: &Config{}, key: w.key.Public().(ed25519.PublicKey), srv: srv, scan: w.machine.scanner(), machine: w.machine,
		say: say, now: time.Now, rest: time.Millisecond, queue: make(chan Report, 64),
	}
}

// start switches the machine on and waits until it became something; it gives
// what.
func (w *world) start() string {
	w.t.Helper()
	w.machine.got = nil
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if err := w.program().run(ctx); err != nil {
		w.t.Fatalf("the machine became nothing: %v", err)
	}
	return strings.Join(w.machine.got, "; ")
}

// fails starts the machine and waits until the server hears of a problem, which
// slipway boot why takes for that cause.
func (w *world) fails(cause, problem string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- w.program().run(ctx) }()
	for ctx.Err() == nil && !w.heard(problem) {
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	<-done
	w.mu.Lock()
	why := fleet.Why("node", w.events, time.Now())
	w.mu.Unlock()
	if why.Cause != cause {
		w.t.Errorf("the cause of %q is %q (%s), want %q", problem, why.Cause, why.Detail, cause)
	}
	if !w.heard(problem) {
		w.t.Fatalf("the server did not hear of %q; %d events, the last: %+v", problem, len(w.events), w.events[max(0, len(w.events)-3):])
	}
}

func (w *world) record() (out Record) {
	w.records.Update(w.t.Context(), "node", func(r *Record) error { out = *r; return nil })
	return out
}

func jsonInto(data []byte, v any) error { return json.Unmarshal(data, v) }
