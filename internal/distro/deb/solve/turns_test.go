package solve_test

import (
	"fmt"
	"strings"
	"testing"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/order"
	"slipway/internal/distro/deb/solve"
)

// A machine with a foundation (init, which needs lib or other) and a program
// that needs both lib and tool.
func turnsProblem(want ...string) solve.Problem {
	p := solve.Problem{Native: "amd64"}
	for name, depends := range map[string]string{
		"base": "", "init": "base, lib | other", "lib": "base", "other": "", "tool": "lib", "program": "tool, init",
	} {
		p.Packages = append(p.Packages, &control.Package{Name: name, Version: "1", Architecture: "amd64", Depends: depends, Essential: name == "base"})
	}
	for _, w := range want {
		p.Want = append(p.Want, solve.Want{Spec: w, From: "test"})
	}
	return p
}

func planWords(steps []order.Step) string {
	var words []string
	for _, s := range steps {
		word := string(s.Op)
		if s.Op == order.Unpack {
			word = fmt.Sprintf("unpack %d", len(s.Packages))
			for _, p := range s.Packages {
				word += " " + p.Name
			}
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}

func TestPlanTurns(t *testing.T) {
	foundation := func(c *control.Package) bool { return c.Name == "init" }
	cases := []struct {
		want  []string
		turns int
		first []string // unpacked in the first turn
	}{
		{[]string{"program", "init"}, 2, []string{"base", "lib", "init"}},
		{[]string{"init"}, 2, []string{"base", "lib", "init"}}, // nothing is left for the second
		{[]string{"tool"}, 1, []string{"base", "lib", "tool"}},
	}
	for _, c := range cases {
		sol, err := solve.Solve(turnsProblem(c.want...))
		if err != nil {
			t.Fatal(err)
		}
		steps, err := sol.PlanTurns(foundation)
		if err != nil {
			t.Fatal(err)
		}
		got, end, unpacked := 0, 0, 0
		for i, s := range steps {
			if s.Op == order.ConfigurePending {
				if got++; got == 1 {
					end = i + 1
				}
			}
			if s.Op == order.Unpack {
				unpacked += len(s.Packages)
			}
		}
		if got != c.turns || unpacked != len(sol.Rest) {
			t.Errorf("%v: got %d turns and %d of %d packages: %s", c.want, got, unpacked, len(sol.Rest), planWords(steps))
		}
		first := planWords(steps[:end])
		for _, name := range c.first {
			if !strings.Contains(first, name) {
				t.Errorf("%v: %s is not in the first turn: %s", c.want, name, first)
			}
		}
		if c.turns == 2 && (strings.Contains(first, "tool") || strings.Contains(first, "program")) {
			t.Errorf("%v: the first turn holds what the foundation does not need: %s", c.want, first)
		}
	}
}

// The first turn is the same whatever else a machine has.
func TestFirstTurnIsShared(t *testing.T) {
	foundation := func(c *control.Package) bool { return c.Name == "init" }
	var firsts []string
	for _, want := range [][]string{{"init"}, {"init", "program"}, {"init", "tool"}} {
		sol, err := solve.Solve(turnsProblem(want...))
		if err != nil {
			t.Fatal(err)
		}
		steps, err := sol.PlanTurns(foundation)
		if err != nil {
			t.Fatal(err)
		}
		for i, s := range steps {
			if s.Op == order.ConfigurePending {
				firsts = append(firsts, planWords(steps[:i+1]))
				break
			}
		}
	}
	for _, f := range firsts[1:] {
		if f != firsts[0] {
			t.Errorf("got %q and %q", firsts[0], f)
		}
	}
}
