package plan

import (
	"strings"
	"testing"
)

func TestTurns(t *testing.T) {
	all := []Package{{Name: "a", Version: "1", Arch: "all"}, {Name: "b", Version: "1", Arch: "amd64"}}
	lock := func(steps ...Step) *Lock {
		return &Lock{Packages: all, Rest: map[Class][]string{Plain: {all[0].ID(), all[1].ID()}}, Steps: map[Class][]Step{Plain: steps}}
	}
	a, b := Step{Op: "unpack", Packages: []string{"a:all"}}, Step{Op: "unpack", Packages: []string{"b:amd64"}}
	configure, pending := Step{Op: "configure", Packages: []string{"a:all"}}, Step{Op: "configure-pending"}
	cases := map[string]struct {
		steps       []Step
		first, last int // steps
		shared, own string
	}{
		"nothing":          {nil, 0, 0, "", ""},
		"one turn":         {[]Step{a, b, pending}, 0, 3, "", "a b"},
		"two":              {[]Step{a, configure, pending, b, pending}, 3, 2, "a", "b"},
		"an empty second":  {[]Step{a, b, pending, pending}, 3, 1, "a b", ""},
		"three: two parts": {[]Step{a, pending, pending, b, pending}, 2, 3, "a", "b"},
	}
	for name, c := range cases {
		first, last, err := lock(c.steps...).Turns(Plain)
		if err != nil || len(first.Steps) != c.first || len(last.Steps) != c.last || names(first) != c.shared || names(last) != c.own {
			t.Errorf("%s: got %d steps (%s) and %d (%s), %v", name, len(first.Steps), names(first), len(last.Steps), names(last), err)
		}
	}
	if _, _, err := lock(Step{Op: "unpack", Packages: []string{"c:all"}}).Turns(Plain); err == nil || !strings.Contains(err.Error(), "c:all") {
		t.Errorf("a step with an unknown package: got %v", err)
	}
}

func names(t Turn) string {
	var list []string
	for _, p := range t.Packages {
		list = append(list, p.Name)
	}
	return strings.Join(list, " ")
}
