package kit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"slipway/internal/sandbox"
)

// Root is the folder of the repository.
var Root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	for err == nil && dir != "/" {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir
		}
		dir = filepath.Dir(dir)
	}
	panic("the tests do not run inside the repository")
})

// scratch holds what lives as long as the test program.
var scratch string

// Main runs the tests of a package with a scratch folder of their own, which
// everybody may enter, because machines run as other users.
func Main(m *testing.M) {
	sandbox.Main()
	dir, err := os.MkdirTemp("", "slipway-e2e-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	code := m.Run()
	RemoveAll(dir)
	os.Exit(code)
}

// Scratch is the folder that Main made.
func Scratch() string { return scratch }

// Binary builds slipway once per test program and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	out := filepath.Join(scratch, "bin", "slipway")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "./cmd/slipway")
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building slipway: %w\n%s", err, text)
	}
	return out, nil
})

// Tier is how much is tested: "", boot or long; each contains the one before.
func Tier(t testing.TB, name string) {
	t.Helper()
	have := os.Getenv("SLIPWAY_TIER")
	if have != name && have != "long" {
		t.Skipf("belongs to the longer tier: SLIPWAY_TIER=%s", name)
	}
}

// CacheDir is a folder that outlives the tests, for what would otherwise be
// downloaded by each.
func CacheDir(t testing.TB) string {
	t.Helper()
	base, err := os.UserCacheDir()
	if err != nil {
		base = filepath.Join(os.TempDir(), fmt.Sprintf("slipway-test-%d", os.Getuid()))
	}
	dir := filepath.Join(base, "slipway-test")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// environ is the caller's environment without what steers slipway.
func environ() []string {
	var out []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "SLIPWAY_") {
			out = append(out, e)
		}
	}
	return out
}
