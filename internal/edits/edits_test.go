package edits

import "testing"

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"nginx", "nginx", 0}, {"ngnix", "nginx", 1}, {"nginx", "ngin", 1}, {"", "ab", 2}, {"postgres", "postfix", 4},
	} {
		if have := Distance(c.a, c.b, 9); have != c.want {
			t.Errorf("%q and %q: have %d, want %d", c.a, c.b, have, c.want)
		}
	}
	if have := Distance("a", "abcdefgh", 2); have <= 2 {
		t.Errorf("beyond the limit: have %d", have)
	}
}
