package machine

import "testing"

// Patterns are compiled when they are needed; all of them can be.
func TestPatternsCompile(t *testing.T) {
	list := []*lazyPattern{bindRule, portRule, durationRule, sizeRule, plainText, secretKey, secretLine, noSecret}
	for _, s := range secretShapes {
		list = append(list, s.pattern)
	}
	for _, r := range rules {
		if r.pattern != "" {
			list = append(list, r.compiled)
		}
	}
	for _, p := range list {
		if p.get() == nil {
			t.Errorf("%q does not compile", p.text)
		}
	}
}
