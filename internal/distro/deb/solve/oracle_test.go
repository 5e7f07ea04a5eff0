package solve_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/order"
	"slipway/internal/distro/deb/solve"
	"slipway/internal/distro/deb/solve/pool"
)

// asApt makes a pool whose view is that of apt inside the root: apt counts
// itself as essential there.
func (r *aptRoot) asApt() *pool.Pool {
	p := pool.New("amd64", nil, r.packages, r.installed)
	apt := p.Find("apt")
	apt.Essential, apt.Important = true, true
	return p
}

func sampleSize() int {
	if n, err := strconv.Atoi(os.Getenv("SLIPWAY_APT_SAMPLE")); err == nil {
		return n
	}
	return 500
}

// TestEqualToApt compares the set of packages with apt-get -s install, for a
// fixed random sample of single packages.
func TestEqualToApt(t *testing.T) {
	for _, r := range aptRoots(t) {
		for _, recommends := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/recommends=%v", filepath.Base(r.dir), recommends), func(t *testing.T) {
				p := r.asApt()
				equal, same := 0, 0.0
				names := r.sample(sampleSize())
				if recommends {
					names = names[:len(names)/5]
				}
				var spent time.Duration
				for _, name := range names {
					want := parseSimulation(r.apt(t, "-o", fmt.Sprintf("APT::Install-Recommends=%v", recommends), "install", name))
					start := time.Now()
					sol, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", Installed: r.installed,
						Want: []solve.Want{{Spec: name}}, Recommends: recommends})
					spent += time.Since(start)
					diff := compareSets(want, sol, err)
					if diff == "" {
						equal++
						same += similarity(t, want, sol)
					} else {
						t.Logf("%s: %s", name, diff)
					}
				}
				t.Logf("%d of %d equal, steps %.2f%% alike, %v each", equal, len(names), 100*same/float64(max(equal, 1)), spent/time.Duration(len(names)))
				if equal*100 < len(names)*99 {
					t.Errorf("only %d of %d sets are those of apt", equal, len(names))
				}
			})
		}
	}
}

func compareSets(want simulation, sol *solve.Solution, err error) string {
	if err != nil {
		if !want.ok {
			return ""
		}
		return fmt.Sprintf("apt has an answer, we say: %v", err)
	}
	if !want.ok {
		return "apt has no answer, we have one"
	}
	have := map[string]string{}
	for _, p := range sol.Rest {
		have[display(p)] = p.Version
	}
	var diff []string
	for _, name := range slices.Sorted(maps.Keys(want.install)) {
		if have[name] != want.install[name] {
			diff = append(diff, fmt.Sprintf("-%s=%s", name, want.install[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		if have[name] != want.install[name] {
			diff = append(diff, fmt.Sprintf("+%s=%s", name, have[name]))
		}
	}
	var gone []string
	for _, p := range sol.Removed {
		gone = append(gone, display(p))
	}
	slices.Sort(gone)
	slices.Sort(want.remove)
	if !slices.Equal(gone, want.remove) {
		diff = append(diff, fmt.Sprintf("removed %v, apt %v", gone, want.remove))
	}
	return strings.Join(diff, " ")
}

// aptSteps renders a plan as apt-get -s would: what is left to the final call
// is shown configured in the order of unpacking.
func aptSteps(steps []order.Step) []string {
	var lines []string
	done := map[*control.Package]bool{}
	var waiting []*control.Package
	for _, s := range steps {
		for _, p := range s.Packages {
			switch s.Op {
			case order.Unpack:
				lines = append(lines, "Inst "+display(p))
				waiting = append(waiting, p)
			case order.Configure:
				lines = append(lines, "Conf "+display(p))
				done[p] = true
			case order.Remove:
				lines = append(lines, "Remv "+display(p))
			}
		}
	}
	for _, p := range waiting {
		if !done[p] {
			lines = append(lines, "Conf "+display(p))
		}
	}
	return lines
}

func similarity(t *testing.T, want simulation, sol *solve.Solution) float64 {
	if sol == nil {
		return 1
	}
	steps, err := sol.Plan()
	if err != nil {
		t.Error(err)
		return 0
	}
	have := aptSteps(steps)
	if len(have) == 0 {
		return 1
	}
	equal := 0
	for i := range min(len(have), len(want.steps)) {
		if have[i] == want.steps[i] {
			equal++
		}
	}
	return float64(equal) / float64(max(len(have), len(want.steps)))
}

var usualSets = [][]string{
	{"linux-image-cloud-amd64", "systemd-sysv", "openssh-server", "iproute2", "udev", "dbus", "ca-certificates"},
	{"nginx", "php-fpm", "mariadb-server"},
	{"postfix", "dovecot-imapd"},
	{"build-essential", "python3", "git"},
	{"samba", "btrfs-progs", "smartmontools"},
}

// TestOrderOfApt compares the sequence of operations for usual sets.
func TestOrderOfApt(t *testing.T) {
	for _, r := range aptRoots(t) {
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			p := r.asApt()
			for _, set := range usualSets {
				want := parseSimulation(r.apt(t, append([]string{"-o", "APT::Install-Recommends=false", "install"}, set...)...))
				var wants []solve.Want
				for _, name := range set {
					wants = append(wants, solve.Want{Spec: name})
				}
				start := time.Now()
				sol, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", Installed: r.installed, Want: wants})
				spent := time.Since(start)
				if diff := compareSets(want, sol, err); diff != "" {
					t.Errorf("%v: %s", set, diff)
					continue
				}
				alike := similarity(t, want, sol)
				t.Logf("%v: %d packages in %v, %.1f%% alike", set, len(sol.Rest), spent, 100*alike)
				if alike < 1 {
					steps, _ := sol.Plan()
					showDifference(t, aptSteps(steps), want.steps)
				}
			}
		})
	}
}

func showDifference(t *testing.T, have, want []string) {
	for i := range min(len(have), len(want)) {
		if have[i] != want[i] {
			from, to := max(0, i-3), i+12
			t.Logf("from step %d on:\n have %s\n want %s", i, strings.Join(have[from:min(to, len(have))], ", "), strings.Join(want[from:min(to, len(want))], ", "))
			return
		}
	}
}

// TestBaseOfApt compares the base sets with what mmdebstrap asks apt for: the
// essential set on an empty system, then the rest on top of it. Both the
// packages and the sequence of steps must be apt's.
func TestBaseOfApt(t *testing.T) {
	for _, r := range aptRoots(t) {
		for _, set := range []string{"essential", "apt", "minbase", "buildd", "important", "standard"} {
			t.Run(filepath.Base(r.dir)+"/"+set, func(t *testing.T) {
				start := time.Now()
				p := pool.New("amd64", nil, r.packages, nil)
				indexed := time.Since(start)
				start = time.Now()
				sol, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", BaseSet: set, Suite: r.suite,
					Want: []solve.Want{{Spec: "openssh-server"}}})
				if err != nil {
					t.Fatal(err)
				}
				t.Logf("indexed in %v, solved in %v: %d and %d packages", indexed, time.Since(start), len(sol.Base), len(sol.Rest))
				r.compareBase(t, set, sol)
				r.compareRest(t, set, sol)
			})
		}
	}
}

func forceEssential(set string) string {
	if set == "apt" {
		return "pkgCacheGen::ForceEssential=apt"
	}
	return "pkgCacheGen::ForceEssential=,"
}

func narrow(suite, pattern string) string {
	return "?narrow(?or(?archive(^" + suite + "$),?codename(^" + suite + "$)),?architecture(amd64)," + pattern + ")"
}

func (r *aptRoot) compareBase(t *testing.T, set string, sol *solve.Solution) {
	args := []string{"-o", "Dir::State::status=/dev/null", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", forceEssential(set), "-o", "APT::Install-Recommends=false"}
	if set == "apt" {
		args = append(args, "dist-upgrade")
	} else {
		args = append(args, "install", narrow(r.suite, "?essential"))
	}
	var want, have []string
	for _, step := range parseSimulation(r.apt(t, args...)).steps {
		if strings.HasPrefix(step, "Inst ") {
			want = append(want, step)
		}
	}
	for _, p := range sol.Base {
		have = append(have, "Inst "+display(p))
	}
	if !slices.Equal(have, want) {
		t.Errorf("the essential set or its order is not that of apt (%d and %d packages)", len(have), len(want))
		showDifference(t, have, want)
	}
}

func (r *aptRoot) compareRest(t *testing.T, set string, sol *solve.Solution) {
	status := r.writeStatus(t, sol.Base)
	args := []string{"-o", "Dir::State::status=" + status, "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache=", "-o", forceEssential(set), "-o", "APT::Install-Recommends=false", "install", "openssh-server"}
	switch set {
	case "minbase":
		args = append(args, narrow(r.suite, "?and(?priority(required),?not(?essential))"))
	case "buildd":
		args = append(args, "build-essential", narrow(r.suite, "?and(?priority(required),?not(?essential))"))
	case "important":
		args = append(args, narrow(r.suite, "?and(?or(?priority(required),?priority(important)),?not(?essential))"))
	case "standard":
		args = append(args, narrow(r.suite, "?and(?or(~prequired,~pimportant,~pstandard),?not(?essential))"))
	}
	want := parseSimulation(r.apt(t, args...))
	if diff := compareSets(want, sol, nil); diff != "" {
		t.Errorf("the rest: %s", diff)
		return
	}
	steps, err := sol.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if have := aptSteps(steps); !slices.Equal(have, want.steps) {
		t.Errorf("the steps are not those of apt")
		showDifference(t, have, want.steps)
	}
}

// writeStatus makes a dpkg database in the root that holds just these packages.
func (r *aptRoot) writeStatus(t *testing.T, list []*control.Package) string {
	var b strings.Builder
	for _, p := range list {
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nPriority: %s\nInstalled-Size: %d\nArchitecture: %s\nSource: %s\nVersion: %s\n", p.Name, p.Priority, p.InstalledSize, p.Architecture, p.Source, p.Version)
		for _, f := range [][2]string{{"Multi-Arch", p.MultiArch}, {"Pre-Depends", p.PreDepends}, {"Depends", p.Depends}, {"Recommends", p.Recommends},
			{"Conflicts", p.Conflicts}, {"Breaks", p.Breaks}, {"Replaces", p.Replaces}, {"Provides", p.Provides}} {
			if f[1] != "" {
				fmt.Fprintf(&b, "%s: %s\n", f[0], f[1])
			}
		}
		if p.Essential {
			b.WriteString("Essential: yes\n")
		}
		b.WriteString("Maintainer: nobody\nDescription: x\n\n")
	}
	name := fmt.Sprintf("/tmp/status-%d", len(list))
	if err := os.WriteFile(r.dir+name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(r.dir + name) })
	return name
}

// TestManyAtOnce asks for several unrelated packages at once, and for some
// sets without one of the packages that would come in, so that conflicts,
// alternatives and refusals are met.
func TestManyAtOnce(t *testing.T) {
	for _, r := range aptRoots(t) {
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			p := r.asApt()
			names := r.sample(sampleSize())
			equal, total := 0, 0
			for i := 0; i+4 <= len(names); i += 4 {
				set := slices.Clone(names[i : i+4])
				if i%8 == 4 {
					set = r.refuseOne(p, set)
				}
				total++
				want := parseSimulation(r.apt(t, append([]string{"-o", "APT::Install-Recommends=false", "install"}, set...)...))
				var wants []solve.Want
				for _, name := range set {
					wants = append(wants, solve.Want{Spec: name})
				}
				sol, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", Installed: r.installed, Want: wants})
				diff := compareSets(want, sol, err)
				if diff == "" && sol != nil && similarity(t, want, sol) < 1 {
					diff = "the steps differ"
				}
				if diff == "" {
					equal++
					if err != nil {
						t.Logf("both refuse %v: %v", set, err)
					}
					continue
				}
				t.Logf("%v: %s", set, diff)
			}
			t.Logf("%d of %d equal", equal, total)
			if equal*100 < total*97 {
				t.Errorf("only %d of %d sets are those of apt", equal, total)
			}
		})
	}
}

// refuseOne keeps two packages and refuses one that the first brings in.
func (r *aptRoot) refuseOne(p *pool.Pool, set []string) []string {
	sol, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", Installed: r.installed, Want: []solve.Want{{Spec: set[0]}}})
	if err != nil {
		return set
	}
	for i, c := range sol.Rest {
		if c.Name != set[0] && i >= len(sol.Rest)/2 {
			return []string{set[0], set[1], c.Name + "-"}
		}
	}
	return set[:2]
}

// TestContradictions asks for packages together with what they conflict with,
// or with something that needs that: mostly there is no answer, and where
// alternatives give one it must be apt's.
func TestContradictions(t *testing.T) {
	for _, r := range aptRoots(t) {
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			p := r.asApt()
			equal, total := 0, 0
			for _, set := range contradictions(p, r.sample(1<<20), sampleSize()/5) {
				total++
				want := parseSimulation(r.apt(t, append([]string{"-o", "APT::Install-Recommends=false", "install"}, set...)...))
				var wants []solve.Want
				for _, name := range set {
					wants = append(wants, solve.Want{Spec: name})
				}
				sol, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", Installed: r.installed, Want: wants})
				if diff := compareSets(want, sol, err); diff != "" {
					t.Logf("%v: %s", set, diff)
					continue
				}
				if err != nil {
					t.Logf("both refuse %v: %v", set, err)
				}
				equal++
			}
			t.Logf("%d of %d equal", equal, total)
			if equal*100 < total*95 {
				t.Errorf("only %d of %d sets are those of apt", equal, total)
			}
		})
	}
}

// contradictions pairs packages with a package that depends on one they
// conflict with, or with that one itself.
func contradictions(p *pool.Pool, names []string, n int) [][]string {
	users := map[*pool.Package][]string{}
	for _, name := range names[:8000] {
		deps := p.Deps(p.Find(name).Versions[0])
		for i := range deps {
			if d := &deps[i]; d.Type == pool.Depends && len(users[d.Target]) < 3 {
				users[d.Target] = append(users[d.Target], name)
			}
		}
	}
	var sets [][]string
	for _, name := range names {
		deps := p.Deps(p.Find(name).Versions[0])
		for i := range deps {
			d := &deps[i]
			if d.Type != pool.Conflicts || len(d.Targets()) == 0 {
				continue
			}
			other := d.Targets()[0].Package
			pair := other.Name
			if list := users[other]; len(list) > 0 {
				pair = list[len(sets)%len(list)]
			}
			if pair != name && other.Installed == nil {
				sets = append(sets, []string{name, pair})
				break
			}
		}
		if len(sets) == n {
			break
		}
	}
	return sets
}

// TestUpgrades asks for packages on a system that was installed from the main
// suite alone, so that updates are pulled in where relations demand them.
func TestUpgrades(t *testing.T) {
	for _, r := range aptRoots(t) {
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			installed := r.mainSuiteSystem(t)
			status := r.writeStatus(t, installed)
			p := pool.New("amd64", nil, r.packages, installed)
			apt := p.Find("apt")
			apt.Essential, apt.Important = true, true
			for _, set := range [][]string{{"nginx"}, {"libc6-dev"}, {"openssh-client", "git"}, {"postgresql"}, {"systemd-container"}, {"python3-dev"}, {"php-fpm"}, {"perl"}} {
				want := parseSimulation(r.apt(t, append([]string{"-o", "Dir::State::status=" + status, "-o", "APT::Install-Recommends=false", "install"}, set...)...))
				var wants []solve.Want
				for _, name := range set {
					wants = append(wants, solve.Want{Spec: name})
				}
				sol, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", Installed: installed, Want: wants})
				if diff := compareSets(want, sol, err); diff != "" {
					t.Errorf("%v: %s", set, diff)
				} else if sol != nil {
					t.Logf("%v: %d packages, %d of them upgrades, steps %.1f%% alike", set, len(sol.Rest), countUpgrades(sol, installed), 100*similarity(t, want, sol))
				}
			}
		})
	}
}

func countUpgrades(sol *solve.Solution, installed []*control.Package) (n int) {
	for _, c := range sol.Rest {
		for _, i := range installed {
			if i.Name == c.Name {
				n++
			}
		}
	}
	return n
}

// mainSuiteSystem is a server as it was at the release.
func (r *aptRoot) mainSuiteSystem(t *testing.T) []*control.Package {
	var main []*control.Package
	for _, c := range r.packages {
		if c.Origin.Suite == r.suite {
			main = append(main, c)
		}
	}
	sol, err := solve.Solve(solve.Problem{Packages: main, Native: "amd64", Foreign: r.foreign, BaseSet: "important", Suite: r.suite,
		Want: []solve.Want{{Spec: "openssh-server"}, {Spec: "python3"}, {Spec: "curl"}, {Spec: "libssl-dev"}, {Spec: "vim"}}})
	if err != nil {
		t.Fatal(err)
	}
	return append(slices.Clone(sol.Base), sol.Rest...)
}

func BenchmarkSolve(b *testing.B) {
	r := aptRoots(b)[0]
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			pool.New("amd64", nil, r.packages, nil)
		}
	})
	b.Run("first", func(b *testing.B) { // with parsing and numbering
		for b.Loop() {
			b.StopTimer()
			p := pool.New("amd64", nil, r.packages, nil)
			b.StartTimer()
			solveServer(b, p, r.suite)
		}
	})
	p := pool.New("amd64", nil, r.packages, nil)
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			solveServer(b, p, r.suite)
		}
	})
}

func solveServer(b *testing.B, p *pool.Pool, suite string) {
	_, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", BaseSet: "minbase", Suite: suite,
		Want: []solve.Want{{Spec: "nginx"}, {Spec: "php-fpm"}, {Spec: "mariadb-server"}}})
	if err != nil {
		b.Fatal(err)
	}
}

// display is a package's name as apt prints it.
func display(c *control.Package) string {
	if c.Architecture == "all" || c.Architecture == "amd64" {
		return c.Name
	}
	return c.Name + ":" + c.Architecture
}

// TestForeign asks for packages of another architecture, in roots that have one.
func TestForeign(t *testing.T) {
	for _, r := range aptRoots(t) {
		if len(r.foreign) == 0 {
			continue
		}
		t.Run(filepath.Base(r.dir), func(t *testing.T) {
			installed := r.mainSuiteSystem(t)
			status := r.writeStatus(t, installed)
			p := pool.New("amd64", r.foreign, r.packages, installed)
			apt := p.Find("apt")
			apt.Essential, apt.Important = true, true
			equal, total, alike := 0, 0, 0.0
			for _, name := range append([]string{"wine32", "libc6-dev", "libgtk-3-0t64", "python3-minimal", "gcc"}, r.sample(sampleSize()/10)...) {
				if p.FindArch(name, r.foreign[0]) != nil {
					name += ":" + r.foreign[0]
				}
				total++
				want := parseSimulation(r.apt(t, "-o", "APT::Architectures::=amd64", "-o", "APT::Architectures::="+r.foreign[0], "-o", "Dir::State::status="+status,
					"-o", "APT::Install-Recommends=false", "install", name))
				sol, err := solve.Solve(solve.Problem{Pool: p, Native: "amd64", Foreign: r.foreign, Installed: installed, Want: []solve.Want{{Spec: name}}})
				if diff := compareSets(want, sol, err); diff != "" {
					t.Logf("%s: %s", name, diff)
					continue
				} else if err != nil {
					t.Logf("both refuse: %v", err)
				} else {
					alike += similarity(t, want, sol)
				}
				equal++
			}
			// Where both architectures of a name are installed, apt's sort leaves
			// their sequence to chance, so the steps are only reported.
			t.Logf("%d of %d equal, steps %.0f%% alike", equal, total, 100*alike/float64(max(equal, 1)))
			if equal*100 < total*90 {
				t.Errorf("only %d of %d are those of apt", equal, total)
			}
		})
	}
}
