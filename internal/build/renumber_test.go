package build

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestPermute(t *testing.T) {
	for _, c := range []struct {
		name       string
		have, want map[string]int
		out        map[int]int
	}{
		{"nothing recorded", map[string]int{"a": 100}, map[string]int{}, map[int]int{}},
		{"as recorded", map[string]int{"a": 100, "root": 0}, map[string]int{"a": 100, "root": 0}, map[int]int{}},
		{"a new name took the number", map[string]int{"new": 100, "old": 101}, map[string]int{"old": 100}, map[int]int{100: 101, 101: 100}},
		{"sysusers counts down", map[string]int{"new": 999, "old": 998}, map[string]int{"old": 999}, map[int]int{999: 998, 998: 999}},
		{"a gone name keeps its number", map[string]int{"new": 100}, map[string]int{"gone": 100}, map[int]int{100: 101}},
		{"static numbers never move", map[string]int{"www-data": 33}, map[string]int{"www-data": 34}, map[int]int{}},
		{"a static number is no target", map[string]int{"a": 100, "b": 150}, map[string]int{"a": 33}, map[int]int{}},
	} {
		var names []string
		for _, n := range []string{"root", "www-data", "new", "a", "b", "old"} {
			if _, ok := c.have[n]; ok {
				names = append(names, n)
			}
		}
		if got := permute(names, c.have, c.want); !maps.Equal(got, c.out) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.out)
		}
	}
}

func TestRewriteIDs(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "passwd")
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	text := "root:x:0:0:root:/root:/bin/bash\nnew:x:100:101::/:/sbin/nologin\nold:x:101:65534::/:/sbin/nologin\n"
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := rewriteIDs(root, "passwd", map[int]int{100: 101, 101: 100}, map[int]int{101: 105}, true); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := "root:x:0:0:root:/root:/bin/bash\nnew:x:101:105::/:/sbin/nologin\nold:x:100:65534::/:/sbin/nologin\n"
	if string(got) != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// Scripts may have put links in place of the account files.
func TestRenumberStaysInside(t *testing.T) {
	host, tree := t.TempDir(), t.TempDir()
	text := "root:x:0:0:root:/root:/bin/sh\nnew:x:100:100::/:/bin/sh\n"
	victim := filepath.Join(host, "passwd")
	for name, target := range map[string]string{victim: "", filepath.Join(tree, "etc/group"): "", filepath.Join(tree, "etc/passwd"): victim} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		err := os.WriteFile(name, []byte(text), 0o644)
		if target != "" {
			os.Remove(name)
			err = os.Symlink(target, name)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := renumber(tree, map[string]int{"new": 150}, nil); err == nil {
		t.Error("a link out of the tree was followed")
	}
	os.Remove(filepath.Join(tree, "etc/passwd"))
	if err := os.WriteFile(filepath.Join(tree, "etc/passwd"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, filepath.Join(tree, "etc/passwd-")); err != nil {
		t.Fatal(err)
	}
	if err := renumber(tree, map[string]int{"new": 150}, nil); err == nil {
		t.Error("a link of the backup out of the tree was followed")
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != text {
		t.Errorf("a file of the host was changed: %q, %v", got, err)
	}
}

func TestChownTreeMovesLinksOnce(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may give files away")
	}
	dir := t.TempDir()
	first := filepath.Join(dir, "a")
	if err := os.WriteFile(first, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chown(first, 100, 0), os.Link(first, filepath.Join(dir, "b"))); err != nil {
		t.Fatal(err)
	}
	if err := chownTree(dir, map[int]int{100: 101, 101: 100}, nil); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(first)
	if err != nil {
		t.Fatal(err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 101 {
		t.Errorf("a file of two names belongs to %d, want 101", uid)
	}
}
