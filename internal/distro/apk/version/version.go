// Package version compares versions of Alpine packages, as apk-tools 2.14 does:
// digits{.digits}[letter]{_suffix[digits]}[-r digits] (apk-package(5)).
//
// Versions that are not of this form have no order that means anything; Valid
// tells them apart.
package version

import "strings"

// Order is how two versions relate: one of Less, Equal, Greater, or all of them
// where one is missing.
type Order uint8

// The orders, as bits, so that an operator is a set of them.
const (
	Equal   Order = 1
	Less    Order = 2
	Greater Order = 4
	Any           = Equal | Less | Greater
)

// token is the kind of a part, in the order in which a longer version with it
// counts as older.
type token int

const (
	invalid token = iota - 1
	digitOrZero
	digit
	letter
	suffix
	suffixNumber
	revision
	end
)

// suffixes before the release, then those after it.
var (
	before = []string{"alpha", "beta", "pre", "rc"}
	after  = []string{"cvs", "svn", "git", "hg", "p"}
)

// scanner takes a version apart. next is the kind of the part that follows.
type scanner struct {
	text string
	next token
}

// maxDigits bounds a number, in digits.
const maxDigits = 18

// value consumes the next part and gives its weight.
func (s *scanner) value() int64 {
	if s.text == "" {
		s.next = end
		return 0
	}
	n, v, then := 0, int64(0), invalid
	switch s.next {
	case digitOrZero, digit, suffixNumber, revision:
		if s.next == digitOrZero && s.text[0] == '0' {
			n, v, then = s.zeros()
			break
		}
		for n < len(s.text) && isDigit(s.text[n]) && n < maxDigits {
			v = v*10 + int64(s.text[n]-'0')
			n++
		}
		if n >= maxDigits {
			return s.fail()
		}
	case letter:
		n, v = 1, int64(s.text[0])
	case suffix:
		if n, v = suffixOf(s.text); n == 0 {
			return s.fail()
		}
	default:
		return s.fail()
	}
	s.text = s.text[n:]
	switch {
	case s.text == "":
		s.next = end
	case then != invalid:
		s.next = then
	default:
		s.advance()
	}
	return v
}

// zeros are leading zeros of a part after a dot: the more, the older.
func (s *scanner) zeros() (n int, v int64, then token) {
	for n+1 < len(s.text) && s.text[n+1] == '0' {
		n++
	}
	return n, -int64(n), digit
}

func (s *scanner) fail() int64 {
	s.next = invalid
	return -1
}

// suffixOf finds a suffix and its weight: below zero before the release.
func suffixOf(text string) (n int, weight int64) {
	for i, name := range before {
		if strings.HasPrefix(text, name) {
			return len(name), int64(i - len(before))
		}
	}
	for i, name := range after {
		if strings.HasPrefix(text, name) {
			return len(name), int64(i)
		}
	}
	return 0, 0
}

// advance finds out what follows, and passes over its separator.
func (s *scanner) advance() {
	was, now := s.next, invalid
	c := s.text[0]
	switch {
	case (was == digit || was == digitOrZero) && c >= 'a' && c <= 'z':
		now = letter
	case was == letter && isDigit(c):
		now = digit
	case was == suffix && isDigit(c):
		now = suffixNumber
	default:
		now = s.separator()
	}
	back := now == digitOrZero && was == digit || now == suffix && was == suffixNumber || now == digit && was == letter
	if now < was && !back {
		now = invalid
	}
	s.next = now
}

func (s *scanner) separator() token {
	c := s.text[0]
	s.text = s.text[1:]
	switch {
	case c == '.':
		return digitOrZero
	case c == '_':
		return suffix
	case c == '-' && strings.HasPrefix(s.text, "r"):
		s.text = s.text[1:]
		return revision
	}
	return invalid
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Valid tells whether a text is a version.
func Valid(text string) bool {
	s := scanner{text, digit}
	for s.next != end && s.next != invalid {
		s.value()
	}
	return s.next == end
}

// Compare orders a against b.
func Compare(a, b string) Order { return compare(a, b, false) }

// Fuzzy is Compare where b may leave out parts of a: they are then equal.
func Fuzzy(a, b string) Order { return compare(a, b, true) }

func compare(a, b string, fuzzy bool) Order {
	if a == "" || b == "" {
		if a == b {
			return Equal
		}
		return Any
	}
	x, y := scanner{a, digit}, scanner{b, digit}
	var v, w int64
	for x.next == y.next && x.next != end && x.next != invalid && v == w {
		v, w = x.value(), y.value()
	}
	switch {
	case v < w:
		return Less
	case v > w:
		return Greater
	case x.next == y.next || fuzzy:
		return Equal
	}
	return longer(x, y)
}

// longer decides between versions of which one ended: the other is newer, but
// for suffixes before the release.
func longer(x, y scanner) Order {
	a, b := x.next, y.next
	if a == suffix && x.value() < 0 {
		return Less
	}
	if b == suffix && y.value() < 0 {
		return Greater
	}
	switch {
	case a > b:
		return Less
	case a < b:
		return Greater
	}
	return Equal
}
