// Package house holds the shape of the repository: which package may import
// which. The order is docs/design.md, section 10.
package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// storeys lists the rooms from the top down: a package imports only what
// stands below it, or what stands in its own room.
var storeys = []string{
	"bench", "cmd", "e2e", "docgen", "web", "netboot", "fleet", "target", "probe", "lab", "build", "apply", "tools",
	"boot", "image", "distro", "sandbox", "plan", "fetch", "store", "tree", "machine",
}

// leaves import nothing of ours and may be used by all.
var leaves = map[string]bool{"trace": true, "progress": true, "xz": true, "guest": true, "edits": true, "bootfiles": true}

// helperImports is all that the guest helper may use beside std and the room
// of boot files.
var helperImports = map[string]bool{
	"golang.org/x/sys/unix": true, "slipway/internal/guest": true, "slipway/internal/guest/wire": true, "slipway/internal/guest/loop": true, "slipway/internal/xz/lzma2": true,
}

// helperRoom holds packages that import std alone.
const helperRoom = "slipway/internal/bootfiles"

func TestArrowsRunDownward(t *testing.T) {
	height := map[string]int{}
	for i, room := range storeys {
		height[room] = len(storeys) - i
	}
	seen := 0
	walk(t, func(file, pkg string, imports []string) {
		seen++
		from := room(pkg)
		for _, path := range imports {
			if !strings.HasPrefix(path, "slipway/") {
				continue
			}
			to := room(strings.TrimPrefix(path, "slipway/"))
			switch {
			case to == from || leaves[to] && !leaves[from]:
			case leaves[from]:
				t.Errorf("%s: the leaf %s imports %s", file, from, path)
			case height[to] == 0 || height[from] == 0:
				t.Errorf("%s: %s imports %s: a room is not in the table of storeys", file, pkg, path)
			case height[to] >= height[from]:
				t.Errorf("%s: %s imports %s, which stands above it", file, pkg, path)
			}
		}
	})
	if seen < 10 {
		t.Fatalf("only %d files were read: the test looks at the wrong folder", seen)
	}
}

func TestGuestHelperStaysSmall(t *testing.T) {
	walk(t, func(file, pkg string, imports []string) {
		if room(pkg) == "bootfiles" {
			for _, path := range imports {
				if strings.Contains(path, ".") {
					t.Errorf("%s: the room of boot files imports %s; only std is allowed", file, path)
				}
			}
			return
		}
		if pkg != "cmd/guest" {
			return
		}
		for _, path := range imports {
			first, _, _ := strings.Cut(path, "/")
			if helperImports[path] || path == helperRoom || strings.HasPrefix(path, helperRoom+"/") || !strings.Contains(first, ".") && first != "slipway" {
				continue
			}
			t.Errorf("%s: the guest helper imports %s; only std and x/sys are allowed", file, path)
		}
	})
}

func room(pkg string) string {
	pkg = strings.TrimPrefix(pkg, "internal/")
	name, _, _ := strings.Cut(pkg, "/")
	return name
}

// walk calls fn for every Go file that is part of the product.
func walk(t *testing.T, fn func(file, pkg string, imports []string)) {
	t.Helper()
	top := filepath.Join("..", "..")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git" || d.Name() == "house") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		var imports []string
		for _, spec := range f.Imports {
			value, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			imports = append(imports, value)
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		fn(rel, filepath.ToSlash(filepath.Dir(rel)), imports)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
