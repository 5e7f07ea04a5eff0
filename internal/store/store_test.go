package store

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/sys/unix"
)

func TestOpenRefuses(t *testing.T) {
	for want, prepare := range map[string]func(dir string){
		"newer slipway":     func(d string) { os.WriteFile(d+"/version", []byte("slipway store 2\n"), 0o600) },
		"not a slipway sto": func(d string) { os.WriteFile(d+"/version", []byte("hello"), 0o600) },
		`holds "precious"`:  func(d string) { os.WriteFile(d+"/precious", nil, 0o600) },
		"not a folder":      func(d string) { os.Remove(d); os.WriteFile(d, nil, 0o600) },
	} {
		dir := filepath.Join(t.TempDir(), "s")
		os.Mkdir(dir, 0o700)
		prepare(dir)
		_, err := Open(dir, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--store DIR") {
			t.Errorf("want an error with %q and the remedy, got %v", want, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("opening nothing read-only: got error %v", err)
	}
}

func TestOpenModes(t *testing.T) {
	s := open(t)
	for _, d := range append(subdirs, ".") {
		if st, err := os.Stat(s.path(d)); err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: got %v, %v; want mode 0700", d, st, err)
		}
	}
	r, err := Open(s.Dir(), Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.ImportObject("deb", digest("a"), strings.NewReader("a")); !errors.Is(err, ErrReadOnly) {
		t.Errorf("writing read-only: got error %v", err)
	}
}

func TestForeignStore(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a store to another user")
	}
	s := open(t)
	s.ImportObject("deb", digest("good"), strings.NewReader("good"))
	os.WriteFile(s.ObjectPath("deb", digest("bad")), []byte("tampered"), 0o644)
	pack := writePack(t, s)
	os.Chown(s.Dir(), 12345, 12345)
	f, err := Open(s.Dir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !f.Foreign() || !f.HasObject("deb", digest("good")) || f.HasObject("deb", digest("bad")) || f.HasPack(pack) {
		t.Error("another user's store is trusted, or not read at all")
	}
	if err := f.Pin("a", "b"); !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "another user") {
		t.Errorf("writing: got error %v", err)
	}
}

func TestObjects(t *testing.T) {
	s := open(t)
	d := digest("content")
	if s.HasObject("deb", d) {
		t.Error("has what was never imported")
	}
	for want, r := range map[string]io.Reader{
		"want " + d:          strings.NewReader("Content"),
		"unexpected EOF":     iotest.ErrReader(io.ErrUnexpectedEOF),
		"make room (`slipwa": iotest.ErrReader(unix.ENOSPC),
		"disk fails":         iotest.ErrReader(unix.EIO),
	} {
		if err := s.ImportObject("deb", d, r); err == nil || !strings.Contains(err.Error(), want) || s.HasObject("deb", d) {
			t.Errorf("want an error with %q and no object, got %v", want, err)
		}
	}
	if err := s.ImportObject("deb", d, strings.NewReader("content")); err != nil || !s.HasObject("deb", d) {
		t.Errorf("importing: %v", err)
	}
	if err := s.VerifyObject("deb", d); err != nil {
		t.Error(err)
	}
	os.WriteFile(s.ObjectPath("deb", d), []byte("c0ntent"), 0o600)
	if c := (*CorruptError)(nil); !errors.As(s.VerifyObject("deb", d), &c) {
		t.Error("a damaged object is not noticed")
	}
	if err := s.RemoveObject("deb", d); err != nil || s.HasObject("deb", d) {
		t.Errorf("removing: %v", err)
	}
	if _, err := s.OpenObject("deb", d); !errors.Is(err, ErrNotFound) {
		t.Errorf("got error %v, want ErrNotFound", err)
	}
	if left, _ := os.ReadDir(s.path("tmp")); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

// A full disk names the store and the way out.
func TestNoSpace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small tmpfs")
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("cannot mount a tmpfs: ", err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	s, err := Open(filepath.Join(dir, "store"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	big := strings.Repeat("x", 1<<20)
	err = s.ImportObject("deb", digest(big), strings.NewReader(big))
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), s.Dir()) || !strings.Contains(err.Error(), "--store DIR") {
		t.Errorf("got error %v", err)
	}
	if left, _ := os.ReadDir(s.path("tmp")); len(left) != 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func TestLocks(t *testing.T) {
	s := open(t)
	a, err := s.Lock("x", false)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Lock("x", false)
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan bool)
	go func() {
		c, err := s.Lock("x", true)
		if err == nil {
			c()
		}
		got <- err == nil
	}()
	a()
	select {
	case <-got:
		t.Error("an exclusive lock beside a shared one")
	default:
	}
	b()
	if !<-got {
		t.Error("the exclusive lock failed")
	}
	if _, err := s.Lock("../x", true); err == nil {
		t.Error("a lock outside of the store")
	}
}
