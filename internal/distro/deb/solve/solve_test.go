package solve

import (
	"strings"
	"testing"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/solve/pool"
)

func TestMatchText(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"nginx", "nginx", true}, {"nginx*", "nginx-full", true}, {"*", "a/b", true},
		{"1.2*", "1.20-1", true}, {"1.2*", "1.3", false}, {"/^lib.*-dev$/", "libc6-dev", true},
		{"/lib(/", "lib(", false}, {"[", "[", true}, {"", "x", false},
	} {
		if have := matchText(c.pattern, c.text); have != c.want {
			t.Errorf("%q on %q: have %v, want %v", c.pattern, c.text, have, c.want)
		}
	}
}

func TestPinMatchesOrigin(t *testing.T) {
	o := &control.Origin{Base: "http://user@deb.example.org:80/debian", Archive: "stable", Codename: "trixie", Label: "Debian", OriginID: "Debian", Component: "main", Arch: "amd64"}
	for _, c := range []struct {
		pin  string
		want bool
	}{
		{"release a=stable", true}, {"release n=trixie, l=Debian", true}, {"release a=stable,c=contrib", false},
		{"release trixie", true}, {"release v=13", false}, {"release", false}, {"origin deb.example.org", true},
		{`origin "other.example.org"`, false}, {"nonsense", false}, {"", false},
	} {
		if have := (Pin{Pin: c.pin}).matchesOrigin(o); have != c.want {
			t.Errorf("%q: have %v, want %v", c.pin, have, c.want)
		}
	}
}

func TestSourceVersion(t *testing.T) {
	for in, want := range map[string]string{"1.2-3": "1.2-3", "1.2-3+b10": "1.2-3", "1+b": "1+b", "b2": "b2", "": ""} {
		if have := sourceVersion(in); have != want {
			t.Errorf("%q: have %q, want %q", in, have, want)
		}
	}
}

func TestBehaviourOf(t *testing.T) {
	if behaviourOf("2.6.1").keepAfterTry || !behaviourOf("3.0.3").keepAfterTry || !behaviourOf("").skipDoomed {
		t.Error("apt 2.6 and 3.0 are mixed up")
	}
}

// TestPoolIsReusable solves twice over one pool: no run may leave traces.
func TestPoolIsReusable(t *testing.T) {
	list := []*control.Package{
		{Name: "sh", Version: "1", Architecture: "amd64", Essential: true, Source: "sh"},
		{Name: "a", Version: "1", Architecture: "all", Depends: "b | c", Source: "a"},
		{Name: "b", Version: "1", Architecture: "amd64", Conflicts: "d", Source: "b"},
		{Name: "c", Version: "1", Architecture: "amd64", Source: "c"},
		{Name: "d", Version: "1", Architecture: "amd64", Source: "d"},
	}
	p := pool.New("amd64", nil, list, nil)
	var first string
	for range 3 {
		for _, base := range []string{"minbase", ""} {
			sol, err := Solve(Problem{Pool: p, Native: "amd64", BaseSet: base, Want: []Want{{Spec: "d"}, {Spec: "a"}}})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, c := range sol.Rest {
				names = append(names, c.Name)
			}
			if have := strings.Join(names, " "); first == "" {
				first = have
			} else if have != first {
				t.Fatalf("have %s, at first %s", have, first)
			}
		}
	}
	if first != "a c d" {
		t.Errorf("have %q, want %q: b conflicts with what was asked for", first, "a c d")
	}
}
