package docgen

import (
	"regexp"
	"strings"
	"testing"

	"slipway/internal/plan"
)

var required = regexp.MustCompile(`(?m)^\t(\S+) v\S+$`)

// TestDependenciesAreExplained wants the reason of every module that go.mod
// names for ourselves in the design's table.
func TestDependenciesAreExplained(t *testing.T) {
	_, table, found := strings.Cut(read(t, "docs/design.md"), "## 11. Dependencies")
	if !found {
		t.Fatal("docs/design.md has no section 11")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	for _, m := range required.FindAllStringSubmatch(read(t, "go.mod"), -1) {
		module := strings.TrimPrefix(m[1], "github.com/")
		module = strings.TrimSuffix(module, "/v6")
		short := strings.TrimPrefix(module, "golang.org/")
		if !strings.Contains(table, module) && !strings.Contains(table, short) {
			t.Errorf("docs/design.md, section 11 does not say why %s is used", m[1])
		}
	}
}

// TestLockFieldsAreExplained holds both descriptions of the lock to its form.
func TestLockFieldsAreExplained(t *testing.T) {
	l := plan.Lock{Version: 1, Users: map[string]int{"a": 1}, Groups: map[string]int{"a": 1}}
	fields := regexp.MustCompile(`(?m)^ "([a-z_]+)":`).FindAllStringSubmatch(string(l.Encode()), -1)
	if len(fields) < 8 {
		t.Fatalf("only %d fields of the lock were found", len(fields))
	}
	for _, page := range []string{"docs/lock.md", "docs/design.md"} {
		text := read(t, page)
		for _, f := range fields {
			if !strings.Contains(text, "`"+f[1]+"`") {
				t.Errorf("%s does not explain the field %s of the lock", page, f[1])
			}
		}
	}
}
