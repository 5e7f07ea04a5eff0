package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// inRAM is a world with a machine that runs from memory.
func inRAM(t *testing.T, content string) (*world, string) {
	w := newWorld(t)
	path := filepath.Join(t.TempDir(), "root")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := w.shelf.Add(t.Context(), path, "squashfs")
	if err != nil {
		t.Fatal(err)
	}
	w.offer = &Offer{Machine: "node", Mode: DoRAM, Version: "v1", Within: time.Minute, Artefacts: func(string, json.RawMessage) (*Artefacts, error) {
		return &Artefacts{Image: a, Kernel: a, Initrd: a, Cmdline: "quiet", Memory: 512 << 20}, nil
	}}
	return w, path
}

func TestRAM(t *testing.T) {
	text := strings.Repeat("a root file system ", 1<<19)
	w, _ := inRAM(t, text)
	var breaks atomic.Int64
	w.before = func(rw http.ResponseWriter, r *http.Request) bool { // every third transfer breaks in the middle
		if !strings.Contains(r.URL.Path, "/a/") || breaks.Add(1)%3 != 0 {
			return false
		}
		w.handler.ServeHTTP(&cut{ResponseWriter: rw, left: 100 << 10}, r)
		panic(http.ErrAbortHandler)
	}
	if got := w.start(); got != "ram root.squashfs" {
		t.Fatalf("it became %q", got)
	}
	if got := read(t, filepath.Join(w.machine.dir, "memory/root.squashfs")); string(got) != text {
		t.Error("the root is not what the server has")
	}
	w.offer.Kexec = true
	if got := w.start(); got != "kexec quiet" {
		t.Errorf("from a stick it became %q", got)
	}
}

// cut ends a transfer after some bytes.
type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(b []byte) (int, error) {
	n := min(len(b), c.left)
	c.left -= n
	if n == 0 {
		panic(http.ErrAbortHandler)
	}
	c.ResponseWriter.Write(b[:n])
	c.ResponseWriter.(http.Flusher).Flush()
	return len(b), nil
}

func TestRAMRefusals(t *testing.T) {
	w, path := inRAM(t, strings.Repeat("a root file system ", 1<<16))
	w.machine.free = 40 << 20
	w.fails("memory", "MiB of memory to be fetched")
	w.machine.free = 1 << 30
	w.machine.write("proc/meminfo", "MemTotal:  262144 kB\n")
	w.fails("memory", "needs 512 MiB of memory, and this machine has 256 MiB")
	w.machine.write("proc/meminfo", "MemTotal:  1048576 kB\n")
	data := read(t, path)
	data[1000] ^= 1
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt(data, 0) // in place: the server's own file is damaged
	f.Close()
	w.fails("corrupt", "its bytes are not those that were signed")
	if len(w.machine.got) > 0 {
		t.Errorf("it became %q", w.machine.got)
	}
}

// TestReplacedWhileServed: who began with the old file ends with the old file.
func TestReplacedWhileServed(t *testing.T) {
	old := strings.Repeat("the old version ", 1<<19)
	w, path := inRAM(t, old)
	var n atomic.Int64
	w.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/a/") && n.Add(1) == 2 {
			os.WriteFile(path+".new", bytes.ToUpper([]byte(old)), 0o600)
			os.Rename(path+".new", path)
			a, err := w.shelf.Add(t.Context(), path, "squashfs")
			if err != nil || a.List == "" {
				t.Error(err)
			}
		}
		return false
	}
	w.start()
	if got := read(t, filepath.Join(w.machine.dir, "memory/root.squashfs")); string(got) != old {
		t.Error("the root is a mixture")
	}
}

func TestOrdersAreChecked(t *testing.T) {
	w, _ := inRAM(t, "root")
	_, stranger, _ := ed25519.GenerateKey(nil)
	w.handler.Key = stranger
	w.fails("key", "is not signed with the key that this system was started with")
	w.handler.Key = w.key
	var first []byte
	order := &Order{Machine: "node", Do: DoInstall, Nonce: "one"}
	first, err := Sign(w.key, order)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(w.key.Public().(ed25519.PublicKey), first, "one"); err != nil {
		t.Error(err)
	}
	if _, err := Verify(w.key.Public().(ed25519.PublicKey), first, "two"); err == nil || !strings.Contains(err.Error(), "an old one") {
		t.Errorf("a repeated order: %v", err)
	}
}

func TestTokens(t *testing.T) {
	w, _ := inRAM(t, "root")
	for path, want := range map[string]int{"/n/bad/order": 403, "/n/good/other": 404, "/n/": 404, "/n/good/order": 400} {
		resp, err := http.Post(w.server.URL+path, "", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("POST %s: %d, want %d", path, resp.StatusCode, want)
		}
	}
	if !w.heard("http.refused") {
		t.Error("a wrong token is not shown")
	}
}

func FuzzVerify(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	good, _ := Sign(key, &Order{Nonce: "n", Do: DoRAM})
	f.Add(good)
	f.Add([]byte(`{"order":"e30=","signature":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if o, err := Verify(key.Public().(ed25519.PublicKey), data, "n"); err == nil && o.Nonce != "n" {
			t.Error("an order for another question was accepted")
		}
		if p, err := verifyProof(key.Public().(ed25519.PublicKey), data, proofQuestion{"n", "v1"}); err == nil && p.Nonce != "n" {
			t.Error("what to prove was accepted for another question")
		}
	})
}

func FuzzDecodeChunks(f *testing.F) {
	f.Add([]byte(`{"version":1,"size":10,"pieces":[{"at":0,"n":10,"sha256":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := new(Chunks)
		if jsonInto(data, c) != nil || c.check() != nil {
			return
		}
		at := int64(0)
		for _, p := range c.Pieces {
			if p.At < at || p.N <= 0 || p.At+p.N > c.Size || p.At+p.N < p.At {
				t.Fatalf("accepted the piece %+v of %d bytes", p, c.Size)
			}
			at = p.At + p.N
		}
	})
}

func FuzzMemoryCorrection(f *testing.F) {
	f.Add([]byte{16, 23, 0, 0, 3, 3, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, data []byte) { memoryCorrection(data) })
}
