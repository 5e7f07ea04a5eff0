package solve_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"slipway/internal/distro/deb/control"
)

// aptRoot is a small Debian system with its own apt and fetched indexes; apt
// there is the judge. Such a root is made with
//
//	mmdebstrap --variant=minbase --skip=cleanup/apt SUITE DIR
//
// and named by SLIPWAY_APT_ROOT (several separated by colons).
type aptRoot struct {
	dir       string
	packages  []*control.Package
	installed []*control.Package
	suite     string
	foreign   []string
}

func aptRoots(t testing.TB) []*aptRoot {
	env := os.Getenv("SLIPWAY_APT_ROOT")
	if env == "" {
		t.Skip("SLIPWAY_APT_ROOT is not set: it names a minbase root whose apt is compared with")
	}
	if os.Geteuid() != 0 {
		t.Skip("comparing with apt needs chroot, so root")
	}
	var roots []*aptRoot
	for _, dir := range strings.Split(env, ":") {
		roots = append(roots, openRoot(t, dir))
	}
	return roots
}

func openRoot(t testing.TB, dir string) *aptRoot {
	r := &aptRoot{dir: dir}
	if b, err := os.ReadFile(filepath.Join(dir, "var/lib/dpkg/arch")); err == nil {
		for _, arch := range strings.Fields(string(b)) {
			if arch != "amd64" {
				r.foreign = append(r.foreign, arch)
			}
		}
	}
	sources, err := os.ReadFile(filepath.Join(dir, "etc/apt/sources.list"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(string(sources), "\n") {
		f := strings.Fields(line)
		if len(f) < 4 || f[0] != "deb" {
			continue
		}
		if f[1][0] == '[' {
			f = append(f[:1], f[2:]...)
		}
		for _, component := range f[3:] {
			r.loadIndex(t, f[1], f[2], component)
		}
		if r.suite == "" {
			r.suite = f[2]
		}
	}
	r.installed = readPackages(t, filepath.Join(dir, "var/lib/dpkg/status"), nil)
	return r
}

func (r *aptRoot) loadIndex(t testing.TB, base, suite, component string) {
	lists := filepath.Join(r.dir, "var/lib/apt/lists")
	escaped := strings.ReplaceAll(strings.TrimSuffix(base[strings.Index(base, "://")+3:], "/"), "/", "_")
	prefix := filepath.Join(lists, escaped+"_dists_"+suite)
	o := &control.Origin{Base: base, Suite: suite, Component: component, Arch: "amd64", Priority: 500, Order: len(r.packages)}
	release, err := os.ReadFile(prefix + "_InRelease")
	if err != nil {
		t.Fatal(err)
	}
	sc := bufio.NewScanner(bytes.NewReader(release))
	for sc.Scan() {
		key, value, _ := strings.Cut(sc.Text(), ": ")
		switch key {
		case "Suite":
			o.Archive = value
		case "Codename":
			o.Codename = value
		case "Origin":
			o.OriginID = value
		case "Label":
			o.Label = value
		}
	}
	for _, arch := range append([]string{"amd64"}, r.foreign...) {
		list := readPackages(t, prefix+"_"+component+"_binary-"+arch+"_Packages", o)
		for _, c := range list {
			if arch == "amd64" || c.Architecture == arch {
				r.packages = append(r.packages, c)
			}
		}
	}
}

func readPackages(t testing.TB, name string, o *control.Origin) []*control.Package {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rd, parser := control.NewReader(bufio.NewReaderSize(f, 1<<16)), control.NewParser()
	var list []*control.Package
	for {
		par, err := rd.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		p := new(control.Package)
		if err := parser.Parse(par, p); err != nil {
			t.Fatal(err)
		}
		p.Origin = o
		list = append(list, p)
	}
}

// apt runs apt-get -s in the root; answers are kept in SLIPWAY_APT_CACHE.
func (r *aptRoot) apt(t testing.TB, args ...string) (out string) {
	cache := ""
	if dir := os.Getenv("SLIPWAY_APT_CACHE"); dir != "" {
		sum := sha256.Sum256([]byte(strings.Join(args, " ")))
		cache = filepath.Join(dir, filepath.Base(r.dir), string(hexDigest(sum[:8])))
		if b, err := os.ReadFile(cache); err == nil {
			return string(b)
		}
	}
	cmd := exec.Command("chroot", append([]string{r.dir, "apt-get", "-s"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if cache != "" {
		_ = os.MkdirAll(filepath.Dir(cache), 0o755)
		_ = os.WriteFile(cache, b, 0o644)
	}
	return string(b)
}

func hexDigest(b []byte) []byte {
	const digits = "0123456789abcdef"
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		out = append(out, digits[c>>4], digits[c&15])
	}
	return out
}

// simulation is what apt-get -s says it would do.
type simulation struct {
	ok      bool
	install map[string]string // name to version
	remove  []string
	steps   []string // "Inst NAME", "Conf NAME", "Remv NAME"
}

func parseSimulation(out string) simulation {
	s := simulation{ok: !strings.Contains(out, "\nE: ") && !strings.HasPrefix(out, "E: "), install: map[string]string{}}
	for _, line := range strings.Split(out, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		f[1] = strings.TrimSuffix(f[1], ":amd64")
		switch f[0] {
		case "Inst":
			for _, w := range f[2:] {
				if w[0] == '(' {
					s.install[f[1]] = w[1:]
					break
				}
			}
		case "Remv":
			s.remove = append(s.remove, f[1])
		case "Conf":
		default:
			continue
		}
		s.steps = append(s.steps, f[0]+" "+f[1])
	}
	return s
}

// sample picks packages by a fixed shuffle: the order of the digests of their names.
func (r *aptRoot) sample(n int) []string {
	seen := map[string]bool{}
	type entry struct{ name, digest string }
	var list []entry
	for _, p := range r.packages {
		if !seen[p.Name] {
			seen[p.Name] = true
			sum := sha256.Sum256([]byte("slipway " + p.Name))
			list = append(list, entry{p.Name, string(sum[:])})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].digest < list[j].digest })
	var names []string
	for _, e := range list[:min(n, len(list))] {
		names = append(names, e.name)
	}
	return names
}
