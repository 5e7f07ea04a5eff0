package solve_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"slipway/internal/distro/apk/apktest"
	"slipway/internal/distro/apk/archive"
	"slipway/internal/distro/apk/index"
	"slipway/internal/distro/apk/solve"
)

// full is Alpine 3.19 as it was: both indexes, and a root of the judge that
// uses them.
type full struct {
	judge    *apktest.Judge
	root     string
	packages []*index.Package
}

func open(t *testing.T) *full {
	t.Helper()
	from := filepath.Join(apktest.Fixtures(t), "repo-3.19")
	keys, err := archive.DistributionKeys("amd64")
	if err != nil {
		t.Fatal(err)
	}
	f := &full{judge: apktest.NewJudge(t)}
	dir := t.TempDir()
	var repositories []string
	for i, name := range []string{"APKINDEX.b2c94760.tar.gz", "APKINDEX.be78cdff.tar.gz"} {
		data, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		x, err := archive.Decode(data, keys)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range x.Packages {
			p.Repository = i
		}
		f.packages = append(f.packages, x.Packages...)
		repo := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(repo+"/x86_64", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(repo+"/x86_64/APKINDEX.tar.gz", data, 0o644); err != nil {
			t.Fatal(err)
		}
		repositories = append(repositories, repo)
	}
	f.root = f.judge.Root(t, repositories...)
	f.judge.Run(t, "--root", f.root, "--initdb", "--arch", "x86_64", "--no-network", "add")
	return f
}

var installing = regexp.MustCompile(`(?m)^\(\d+/\d+\) Installing (\S+) \((\S+)\)$`)

// apk is the judge's answer: packages in order, or none if it refuses.
func (f *full) apk(t *testing.T, words []string) []string {
	t.Helper()
	args := append([]string{"--root", f.root, "--no-network", "add", "--simulate"}, words...)
	out, err := f.judge.Command(args...).CombinedOutput()
	if err != nil {
		return nil
	}
	var list []string
	for _, m := range installing.FindAllStringSubmatch(string(out), -1) {
		list = append(list, m[1]+"-"+m[2])
	}
	if len(list) == 0 {
		t.Fatalf("apk add %s says nothing: %s", words, out)
	}
	return list
}

func (f *full) ours(t *testing.T, words []string) ([]string, error) {
	t.Helper()
	p := solve.Problem{Repositories: make([]solve.Repository, 2), Packages: f.packages}
	for _, w := range words {
		d, err := index.ParseDependency(w)
		if err != nil {
			t.Fatal(err)
		}
		p.World = append(p.World, solve.Want{Dependency: d, From: "the test"})
	}
	s, err := solve.Solve(p)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, c := range s.Rest {
		list = append(list, c.ID())
	}
	return list, nil
}

// TestOracle compares with the real apk on Alpine's full indexes: named sets,
// and a hundred packages at random, in the same order.
func TestOracle(t *testing.T) {
	f := open(t)
	sets := [][]string{
		{"alpine-base"}, {"alpine-base", "nginx", "php83-fpm"}, {"docker"}, {"linux-lts"}, {"gnome"},
		{"alpine-base", "openssh"}, {"nginx~1.24", "cmd:curl"}, {"so:libssl.so.3", "!busybox-suid"}, {"alpine-base", "eudev", "!mdev-conf"},
		{"python3>3.9", "py3-pip"}, {"xfce4", "lightdm"}, {"nginx=9.9"}, {"no-such-package"}, {"openssh-client-krb5", "openssh-client-default"},
	}
	want := map[string]int{"alpine-base": 25, "linux-lts": 128, "gnome": 518}
	n := 100
	if os.Getenv("SLIPWAY_TIER") == "" { // the judge takes a second for each
		sets, n = sets[:2], 3
	}
	for _, words := range sets {
		got, same := f.compare(t, words)
		if !same {
			t.Errorf("%v: another set or order than apk's", words)
		}
		if n := want[words[0]]; n != 0 && len(words) == 1 && got != n {
			t.Errorf("%v: %d packages, want %d", words, got, n)
		}
	}
	r, equal := rand.New(rand.NewPCG(319, 1)), 0
	for range n {
		if _, same := f.compare(t, []string{f.packages[r.IntN(len(f.packages))].Name}); same {
			equal++
		}
	}
	t.Logf("%d of %d random packages: the same packages in the same order", equal, n)
	if equal*100 < n*99 {
		t.Errorf("only %d of %d are the same", equal, n)
	}
}

func (f *full) compare(t *testing.T, words []string) (int, bool) {
	t.Helper()
	want := f.apk(t, words)
	got, err := f.ours(t, words)
	if strings.Join(got, " ") == strings.Join(want, " ") {
		return len(got), true
	}
	if err != nil {
		t.Logf("%v: apk has %d packages, ours: %v", words, len(want), err)
		return 0, false
	}
	t.Logf("%v: apk has %d, ours %d:\n%s", words, len(want), len(got), difference(want, got))
	return len(got), false
}

func difference(want, got []string) string {
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			return fmt.Sprintf("  from %d on: apk %v\n  ours %v", i, want[i:min(i+6, len(want))], got[min(i, len(got)):min(i+6, len(got))])
		}
	}
	return "  ours has more: " + strings.Join(got[len(want):], " ")
}
