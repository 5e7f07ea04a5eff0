package pool

import (
	"fmt"
	"strings"
	"testing"

	"slipway/internal/distro/deb/control"
)

func TestScan(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"a", "a"},
		{"a,b ,\n c", "a, b, c"},
		{"a (>= 1.2-3) | b(<<2)|c:any", "a >=1.2-3 |, b <<2 |, c:any"},
		{"a (= 1) [amd64] <!nocheck>, b", "a =1, b"},
		{"a (1)", "a =1"},
		{"a (>= 1", ""},
		{"), a", ""},
		{"a | ", "a |"},
		{"a (> 1), b (< 2)", "a >1, b <2"},
	} {
		var have []string
		scan(c.in, func(r relation) {
			text := r.name
			if r.version != "" {
				text += " " + r.op + r.version
			}
			if r.or {
				text += " |"
			}
			have = append(have, text)
		})
		if got := strings.Join(have, ", "); got != c.want {
			t.Errorf("%q: have %q, want %q", c.in, got, c.want)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{"a", "a (>= 1) | b, c:any", "a (", "[", "a <x", ",,,", "a\x00b", "a|(=1)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n := 0
		scan(s, func(r relation) {
			if n++; n > len(s) || r.name == "" {
				t.Fatalf("%d relations, name %q from %q", n, r.name, s)
			}
		})
	})
}

func TestVersionsAreSorted(t *testing.T) {
	var list []*control.Package
	for _, v := range []string{"1", "3", "2", "3"} {
		list = append(list, &control.Package{Name: "a", Version: v, Architecture: "amd64", Origin: &control.Origin{Suite: "s" + v}})
	}
	p := New("amd64", nil, list, []*control.Package{{Name: "a", Version: "2", Architecture: "amd64"}})
	a := p.Find("a")
	if have := fmt.Sprint(a.Versions); have != "[a=3 a=2 a=1]" {
		t.Errorf("have %s", have)
	}
	if len(a.Versions[0].Origins) != 2 || a.Installed != a.Versions[1] {
		t.Errorf("origins %d, installed %v", len(a.Versions[0].Origins), a.Installed)
	}
}

func TestSatisfied(t *testing.T) {
	for _, c := range []struct {
		op, want, have string
		ok             bool
	}{
		{"", "", "", true}, {">=", "2", "2", true}, {">=", "2", "1", false}, {"<<", "2", "2~rc1", true},
		{">>", "2", "2", false}, {"=", "2", "2", true}, {"<=", "2", "3", false}, {"!=", "2", "3", true},
		{"=", "2", "", false}, {"?", "2", "2", false}, {"<", "2", "2", true},
	} {
		if have := (&Dep{Op: c.op, Version: c.want}).Satisfied(c.have); have != c.ok {
			t.Errorf("%q %s %s: have %v", c.have, c.op, c.want, have)
		}
	}
}

func TestProvides(t *testing.T) {
	p := New("amd64", []string{"i386"}, []*control.Package{
		{Name: "py", Version: "3", Architecture: "amd64", MultiArch: "allowed", Provides: "snake (= 2), py"},
		{Name: "tool", Version: "1", Architecture: "amd64", MultiArch: "foreign", Provides: "hammer"},
		{Name: "tool", Version: "1", Architecture: "i386"},
		{Name: "user", Version: "1", Architecture: "i386", Depends: "hammer, tool, py:any, py:amd64, py"},
		{Name: "liar", Version: "1", Architecture: "amd64", Provides: "snake (>= 3)"},
	}, nil)
	user := p.FindArch("user", "i386").Versions[0]
	var have []string
	for i := range p.Deps(user) {
		d := &p.Deps(user)[i]
		have = append(have, fmt.Sprint(d, d.Targets()))
	}
	const want = "hammer[tool=1] tool[tool=1 tool=1] py:any[py=3] py:amd64[py=3] py[]"
	if got := strings.ReplaceAll(strings.Join(have, " "), " [", "["); got != want {
		t.Errorf("have %s\nwant %s", got, want)
	}
	if n := len(p.Find("snake").Providers); n != 1 {
		t.Errorf("snake is provided %d times: a provide with another operator than = must not count", n)
	}
}

// TestNumber pins the numbering: own name first, then relations field by
// field, then provided names.
func TestNumber(t *testing.T) {
	p := New("amd64", nil, []*control.Package{
		{Name: "z", Version: "1", Architecture: "amd64", Depends: "y", PreDepends: "x", Provides: "w"},
		{Name: "a", Version: "1", Architecture: "amd64", Enhances: "z"},
	}, nil)
	p.Deps(p.Find("z").Versions[0])
	last := int32(0)
	for _, name := range []string{"z", "x", "y", "w", "a"} {
		n := p.Number(p.Find(name))
		if n <= last {
			t.Errorf("%s has number %d after %d", name, n, last)
		}
		last = n
	}
}

func TestSortVisit(t *testing.T) {
	list := []*Package{{Name: "bb"}, {Name: "a"}, {Name: "c"}}
	SortVisit(list)
	for i := 1; i < len(list); i++ {
		if bucket(list[i-1].Name) > bucket(list[i].Name) {
			t.Errorf("%s is before %s", list[i-1].Name, list[i].Name)
		}
	}
}
