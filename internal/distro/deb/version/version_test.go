package version

import (
	"os/exec"
	"strings"
	"testing"
)

// ordered is a strictly ascending chain.
var ordered = []string{
	"0~~", "0~~a", "0~", "0", "0a", "0+", "0.1", "0.9", "0.10",
	"1.0~~", "1.0~~a", "1.0~", "1.0~alpha", "1.0~beta1", "1.0~rc1-1", "1.0~rc1-1+b1",
	"1.0", "1.0-0.1", "1.0-1~bpo12+1", "1.0-1", "1.0-1+b1", "1.0-1+deb12u1", "1.0-1.1", "1.0-2", "1.0-10",
	"1.0a-1", "1.0aa", "1.0b", "1.0+dfsg-1", "1.0+git20240101-1", "1.0-1-1", "1.0.1-1", "1.2.3", "1.10",
	"2.0", "20240203", "100000000000000000000", "100000000000000000001",
	"1:0", "1:0.1", "2:0~1", "10:0",
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func TestCompareOrder(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := sign(Compare(a, b)), sign(i-j); got != want {
				t.Errorf("Compare(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestCompareEqual(t *testing.T) {
	for _, c := range [][2]string{{"1.0", "1.0-0"}, {"1.0", "0:1.0"}, {"01.0", "1.00"}, {"1.0-00", "1.0"}, {"00:1", "1"}, {"1.", "1.0"}, {"1-01", "1-1"}, {"", "0"}} {
		if got := Compare(c[0], c[1]); got != 0 {
			t.Errorf("Compare(%q, %q) = %d, want 0", c[0], c[1], got)
		}
	}
}

func TestValid(t *testing.T) {
	for v, ok := range map[string]bool{
		"1": true, "1:2-3": true, "1.0+dfsg~rc1-1.1": true, "1:2:3-4": true, "1-2-3": true, "0": true,
		"": false, "a1": false, ":1": false, "x:1": false, "-1:1": false, "1-": false, "1 2": false, "1_2": false, "1-2:3": false,
		"1:": false, "-1": false, "99999999999:1": false, "1é": false, "+1:1": false,
	} {
		if err := Valid(v); (err == nil) != ok {
			t.Errorf("Valid(%q) = %v, want valid %v", v, err, ok)
		}
	}
}

func TestSatisfies(t *testing.T) {
	cases := []struct {
		v, op, want string
		ok          bool
	}{
		{"1", "", "", true}, {"1", "=", "1-0", true}, {"1", "=", "2", false},
		{"1", "<<", "2", true}, {"2", "<<", "2", false}, {"2", "<=", "2", true}, {"3", "<=", "2", false},
		{"2", ">=", "2", true}, {"1", ">=", "2", false}, {"3", ">>", "2", true}, {"2", ">>", "2", false},
		{"2", "<", "2", true}, {"2", ">", "2", true}, {"2", "==", "2", false},
	}
	for _, c := range cases {
		if got := Satisfies(c.v, c.op, c.want); got != c.ok {
			t.Errorf("Satisfies(%q, %q, %q) = %v, want %v", c.v, c.op, c.want, got, c.ok)
		}
	}
}

func TestAgainstDpkg(t *testing.T) {
	tool, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("no dpkg to compare with")
	}
	if testing.Short() {
		t.Skip("starts some 200 processes")
	}
	for i, a := range ordered {
		for _, b := range ordered[i:min(i+5, len(ordered))] {
			got := exec.Command(tool, "--compare-versions", a, "lt", b).Run() == nil
			if want := Compare(a, b) < 0; got != want {
				t.Errorf("dpkg says %q lt %q is %v", a, b, got)
			}
		}
	}
	for _, v := range []string{"1", "1-", "a1", "1:2:3-4", "1_2", ":1", "1:"} {
		out, _ := exec.Command(tool, "--validate-version", v).CombinedOutput()
		if refused := strings.TrimSpace(string(out)) != ""; refused != (Valid(v) != nil) {
			t.Errorf("dpkg on %q says %q, Valid says %v", v, out, Valid(v))
		}
	}
}

// FuzzCompare wants a total order: antisymmetric, reflexive, and transitive
// over what it is given.
func FuzzCompare(f *testing.F) {
	f.Add("1.0", "1.0-1", "1:0~a")
	f.Add("", "~", "::--")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if Compare(a, a) != 0 || sign(Compare(a, b)) != -sign(Compare(b, a)) {
			t.Fatalf("no order between %q and %q", a, b)
		}
		if Compare(a, b) <= 0 && Compare(b, c) <= 0 && Compare(a, c) > 0 {
			t.Fatalf("%q <= %q <= %q, but not the first and the last", a, b, c)
		}
		_ = Valid(a)
	})
}
