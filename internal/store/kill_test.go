package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/tree"
)

// childEnv makes this test binary a process that writes to the store that it
// names until it is killed.
const childEnv = "SLIPWAY_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := writeForever(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever does everything that writes, with few names, so that several
// children meet.
func writeForever(dir string) error {
	s, err := Open(dir, Options{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		n := rand.IntN(40)
		if err := writeOnce(s, n); err != nil {
			return err
		}
	}
}

func writeOnce(s *Store, n int) error {
	text := strings.Repeat(fmt.Sprintf("content %d\n", n), 2000)
	d := digest(text)
	if err := s.ImportObject("deb", d, strings.NewReader(text)); err != nil {
		return err
	}
	w, err := s.NewPackWriter(d)
	if err != nil {
		return err
	}
	if err := w.Add(tree.Entry{Path: "a", Type: tree.File, Size: int64(len(text))}, strings.NewReader(text)); err != nil {
		return err
	}
	w.AddControl("control", 0o644, 0, []byte("x"))
	if err := w.Commit(); err != nil {
		return err
	}
	key := fmt.Sprintf("key%d", n)
	upper, err := s.TempDir("upper")
	if err != nil {
		return err
	}
	c := tree.Bytes{}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o700}}}
	for i, b := range [][]byte{[]byte(text), []byte(key)} {
		m.Entries = append(m.Entries, tree.Entry{Path: fmt.Sprint("f", i), Type: tree.File, Mode: 0o600, Size: int64(len(b)), Digest: c.Add(b)})
	}
	if err := tree.Materialise(context.Background(), upper, m, c, tree.MaterialiseOptions{NoOwners: true}); err != nil {
		return err
	}
	if err := s.CommitLayer(context.Background(), LayerMeta{Key: key, Packs: []string{d}}, m, upper, c); err != nil {
		return err
	}
	os.RemoveAll(upper)
	if err := s.Pin("pin", key); err != nil {
		return err
	}
	if n%8 == 0 {
		s.DropLayer(key)
		return s.Flush()
	}
	return s.Log("build/"+key, map[string]int{"n": n})
}

// Two processes write the same things and are killed at random moments, again
// and again: what is visible is always whole.
func TestKill(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		var children []*exec.Cmd
		for range 2 {
			children = append(children, startChild(t, dir))
		}
		time.Sleep(time.Duration(10+rand.IntN(60)) * time.Millisecond)
		for _, c := range children {
			c.Process.Kill()
		}
		for _, c := range children {
			c.Wait()
			if b := c.Stderr.(*bytes.Buffer); b.Len() > 0 {
				t.Fatalf("a child failed: %s", b)
			}
		}
		checkStore(t, dir)
	}
}

func startChild(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childEnv+"="+dir)
	c.Stderr = new(bytes.Buffer)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	io.ReadFull(out, make([]byte, len("ready")))
	return c
}

func checkStore(t *testing.T, dir string) {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	layers := 0
	for n := range 40 {
		text := strings.Repeat(fmt.Sprintf("content %d\n", n), 2000)
		if s.HasObject("deb", digest(text)) {
			if err := s.VerifyObject("deb", digest(text)); err != nil {
				t.Error(err)
			}
		}
		if s.HasPack(digest(text)) {
			p, err := s.OpenPack(digest(text))
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Verify(); err != nil {
				t.Error(err)
			}
			p.Close()
		}
		if key := fmt.Sprintf("key%d", n); s.HasLayer(key) {
			layers++
			checkLayer(t, s, key)
		}
	}
	if _, err := s.ReadLog(); err != nil {
		t.Error(err)
	}
	if _, err := s.Pins(); err != nil {
		t.Error(err)
	}
	if _, err := s.GC(ctx, GCOptions{}); err != nil {
		t.Error(err)
	}
	for n := range 40 {
		if s.HasLayer(fmt.Sprintf("key%d", n)) {
			layers--
		}
	}
	if left, _ := os.ReadDir(s.path("tmp")); len(left) > 0 || layers != 0 {
		t.Errorf("after collecting garbage %v is left in tmp, and %d layers are lost", left, layers)
	}
}

func checkLayer(t *testing.T, s *Store, key string) {
	t.Helper()
	l, err := s.Layer(key)
	if err != nil {
		t.Fatal(err)
	}
	m, err := l.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	got, err := tree.Scan(ctx, l.Dirs()[0], tree.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Entries {
		e, g := &m.Entries[i], got.Lookup(m.Entries[i].Path)
		if g == nil || g.Digest != e.Digest {
			t.Errorf("%s: %s is not in its folder", key, e.Path)
		}
		if e.Type != tree.File {
			continue
		}
		r, err := l.Content().Open(e.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(r); err != nil || int64(len(b)) != e.Size {
			t.Errorf("%s: %s: %d bytes, %v", key, e.Path, len(b), err)
		}
	}
}
