package version

import "testing"

// Pairs as apk-tools' own test has them in kind: dots, letters, suffixes,
// revisions, leading zeros.
func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want Order
	}{
		{"1.0", "1.0", Equal}, {"1.0", "1.1", Less}, {"1.10", "1.9", Greater}, {"1.0", "1.0.1", Less},
		{"1.0a", "1.0", Greater}, {"1.0a", "1.0b", Less}, {"1.0_rc1", "1.0", Less}, {"1.0_p1", "1.0", Greater},
		{"1.0_alpha", "1.0_beta", Less}, {"1.0_rc2", "1.0_rc1", Greater}, {"1.0-r1", "1.0-r2", Less}, {"1.0-r0", "1.0", Greater},
		{"1.0_git20230717-r4", "1.0_git20230716-r9", Greater}, {"0.1.0_alpha_pre2", "0.1.0_alpha", Less},
		{"1.05", "1.5", Less}, {"1.0005", "1.05", Less}, {"6.0_pre1", "6.0_p1", Less}, {"23", "4", Greater},
		{"", "", Equal}, {"", "1", Any}, {"1.2.4_git20230717-r4", "1.2.4-r4", Greater},
	} {
		if got := Compare(c.a, c.b); got != c.want {
			t.Errorf("%s against %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestFuzzyAndValid(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want Order
	}{{"1.24.0-r16", "1.24", Equal}, {"1.24.0-r16", "1", Equal}, {"1.24.0", "1.25", Less}, {"1.24.0", "1.24.0-r1", Equal}} {
		if got := Fuzzy(c.a, c.b); got != c.want {
			t.Errorf("%s ~ %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
	for text, want := range map[string]bool{"1.0": true, "1.0-r1": true, "1.0-x": false, "a": true, "1.0_foo": false, "1..0": true, "": true, "999999999999999999999": false} {
		if got := Valid(text); got != want {
			t.Errorf("valid %q: %v", text, got)
		}
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("1.0_rc1-r0", "1.0")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := Compare(a, b), Compare(b, a)
		if Valid(a) && Valid(b) && a != "" && b != "" && (x == Less) != (y == Greater) {
			t.Fatalf("%q against %q is %d, and %d the other way", a, b, x, y)
		}
	})
}
