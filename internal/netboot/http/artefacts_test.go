package http

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/fleet"
	"slipway/internal/netboot/token"
)

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestArtefactsByDigest(t *testing.T) {
	l := &diary{}
	all := &Artefacts{}
	defer all.Close()
	path := filepath.Join(t.TempDir(), "kernel.efi")
	want := content(2_000_000)
	write(t, path, want)
	a, err := all.Add(path, "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	secret := all.AddBytes([]byte("key"), "secret.img", true)
	tokens := book(t, l)
	s := &Server{Artefacts: all, Sink: l, Tokens: tokens, Boot: func(ctx context.Context, c Call) (Content, error) {
		return all.Content(ctx, c.Name)
	}, Who: func(from netip.Addr, digest string) fleet.Event {
		return fleet.Event{Client: "52:54:00:00:00:01", Stage: fleet.StageKernel}
	}}
	address := serve(t, s)
	r, b := get(t, address, a.Path())
	if r.StatusCode != 200 || !bytes.Equal(b, want) || r.Header.Get("Content-Type") != "application/efi" ||
		r.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || r.Header.Get("ETag") != `"sha256-`+a.Digest+`"` {
		t.Errorf("%s, %d bytes, %v", r.Status, len(b), r.Header)
	}
	if e := l.await(t, fleet.KindHTTPDone, 1); e.Stage != fleet.StageKernel || e.Client == "" || e.Fields[fleet.FieldFile] != "kernel.efi" || e.Fields[fleet.FieldVersion] != a.Digest {
		t.Errorf("the event is %+v", e)
	}
	if r, _ := get(t, address, secret.Path()); r.StatusCode != 403 {
		t.Errorf("a secret without a token: %s", r.Status)
	}
	tok := tokens.Mint(token.Claim{Address: loopback})
	if r, b := raw(t, address, "HEAD /b/"+tok+"/"+secret.Digest+" HTTP/1.1\r\nHost: x\r\n\r\n"); r.StatusCode != 200 || len(b) != 0 {
		t.Errorf("HEAD of a secret: %s", r.Status)
	}
	if r, b := get(t, address, "/b/"+tok+"/"+secret.Digest); r.StatusCode != 200 || string(b) != "key" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("a secret by token: %s", r.Status)
	}
	l.await(t, fleet.KindHTTPDone, 2)
	if r, _ := get(t, address, "/b/"+tok+"/"+secret.Digest); r.StatusCode != 403 {
		t.Errorf("a secret twice: %s", r.Status)
	}
	if e := l.await(t, fleet.KindHTTPRefused, 2); e.Problem == "" {
		t.Errorf("told as %+v", e)
	}
}

// TestReplacedWhileServed: a download that began before another image took the
// name ends with the bytes that it began with.
func TestReplacedWhileServed(t *testing.T) {
	all := &Artefacts{}
	defer all.Close()
	path := filepath.Join(t.TempDir(), "image")
	v1, v2 := content(30<<20), content(30<<20+1)
	write(t, path, v1)
	old, err := all.Add(path, "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, &Server{Artefacts: all})
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s HTTP/1.0\r\n\r\n", old.Path())
	head := make([]byte, 1000)
	io.ReadFull(c, head)

	write(t, path+".new", v2)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	now, err := all.Add(path, "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	if r, b := get(t, address, old.Path()); r.StatusCode != 200 || !bytes.Equal(b, v1) {
		t.Errorf("the old one after the change: %s", r.Status)
	}
	all.Drop(old.Digest)
	rest, err := io.ReadAll(c)
	whole := append(head, rest...)
	if err != nil || !bytes.HasSuffix(whole, v1) {
		t.Errorf("the download got %d bytes, not the old image: %v", len(whole), err)
	}
	if r, _ := get(t, address, old.Path()); r.StatusCode != 404 {
		t.Errorf("the dropped one: %s", r.Status)
	}
	if r, b := get(t, address, now.Path()); r.StatusCode != 200 || !bytes.Equal(b, v2) {
		t.Errorf("the new one: %s", r.Status)
	}
}

// TestThreeFlippedBytes: damage is noticed before anything is sent, whether it
// came before the file was added or between two downloads.
func TestThreeFlippedBytes(t *testing.T) {
	l := &diary{}
	all := &Artefacts{}
	defer all.Close()
	path := filepath.Join(t.TempDir(), "image")
	want := content(5_000_000)
	write(t, path, want)
	sound, err := all.Add(path, "", "", false)
	if err != nil {
		t.Fatal(err)
	}
	all.Close()
	flip := func(mask byte) {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, at := range []int64{17, 2_500_000, 4_999_999} {
			f.WriteAt([]byte{want[at] ^ mask}, at)
		}
	}
	address := serve(t, &Server{Artefacts: all, Sink: l})
	flip(1)
	if _, err := all.Add(path, sound.Digest, "", false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if r, b := get(t, address, sound.Path()); r.StatusCode != 500 || len(b) > 200 {
			t.Errorf("a damaged image: %s, %d bytes", r.Status, len(b))
		}
	}
	if err := all.Prove(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("proving: %v", err)
	}
	if e := l.await(t, fleet.KindHTTPAbort, 2); !bytes.Contains([]byte(e.Problem), []byte("damaged")) {
		t.Errorf("told as %+v", e)
	}
	flip(0) // sound again
	if r, b := get(t, address, sound.Path()); r.StatusCode != 200 || !bytes.Equal(b, want) {
		t.Errorf("the mended image: %s", r.Status)
	}
	flip(0x80) // under the server's eyes
	if r, _ := get(t, address, sound.Path()); r.StatusCode != 500 {
		t.Errorf("an image that was damaged after its first download: %s", r.Status)
	}
}

func TestArtefactsThatAreNone(t *testing.T) {
	all := &Artefacts{}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), []byte("f"))
	if _, err := all.Add(filepath.Join(dir, "none"), "", "", false); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := all.Add(dir, "", "", false); err == nil {
		t.Error("a folder was taken")
	}
	if _, err := all.Add(filepath.Join(dir, "f"), "abc", "", false); err == nil {
		t.Error("a digest that is none was taken")
	}
}
