package build

import (
	"maps"
	"os"
	"path/filepath"
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
	path := filepath.Join(t.TempDir(), "passwd")
	text := "root:x:0:0:root:/root:/bin/bash\nnew:x:100:101::/:/sbin/nologin\nold:x:101:65534::/:/sbin/nologin\n"
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := rewriteIDs(path, map[int]int{100: 101, 101: 100}, map[int]int{101: 105}, true); err != nil {
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
