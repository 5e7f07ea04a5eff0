// Package version compares Debian package versions as deb-version(7)
// (Debian policy 5.6.12) defines them: [epoch:]upstream[-revision].
//
// It is not lenient where dpkg is strict: what Valid refuses, dpkg refuses
// too. Compare nevertheless gives an order for every pair of strings, so that
// sorting what an archive declares needs no error path.
package version

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// split cuts a version at its first colon and its last hyphen. A missing
// epoch is "0"; a missing revision is empty, which compares equal to "0".
func split(v string) (epoch, upstream, revision string) {
	epoch, upstream = "0", v
	if i := strings.IndexByte(v, ':'); i >= 0 {
		epoch, upstream = v[:i], v[i+1:]
	}
	if i := strings.LastIndexByte(upstream, '-'); i >= 0 {
		upstream, revision = upstream[:i], upstream[i+1:]
	}
	return epoch, upstream, revision
}

// Compare returns a negative number, zero or a positive number as a is older
// than, equal to, or newer than b. Different spellings can be equal ("1.0",
// "0:1.0-0").
func Compare(a, b string) int {
	if a == b {
		return 0
	}
	epochA, upstreamA, revisionA := split(a)
	epochB, upstreamB, revisionB := split(b)
	if c := compareNumbers(epochA, epochB); c != 0 {
		return c
	}
	if c := comparePart(upstreamA, upstreamB); c != 0 {
		return c
	}
	return comparePart(revisionA, revisionB)
}

// comparePart compares upstream versions or revisions: in turn the longest
// prefix without digits, then the longest number.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for nonDigit(a) || nonDigit(b) {
			if c := order(a) - order(b); c != 0 {
				return c
			}
			a, b = tail(a), tail(b)
		}
		var numberA, numberB string
		numberA, a = cutNumber(a)
		numberB, b = cutNumber(b)
		if c := compareNumbers(numberA, numberB); c != 0 {
			return c
		}
	}
	return 0
}

func isDigit(c byte) bool  { return c >= '0' && c <= '9' }
func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func nonDigit(s string) bool {
	return s != "" && !isDigit(s[0])
}

// tail is s without its first byte, or empty.
func tail(s string) string {
	if s == "" {
		return s
	}
	return s[1:]
}

// order is the weight of the first byte of s: a tilde sorts before the end,
// the end (or a digit) before letters, letters before everything else.
func order(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case isLetter(s[0]):
		return int(s[0])
	default:
		return int(s[0]) + 256
	}
}

// cutNumber splits off the leading digits.
func cutNumber(s string) (number, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// compareNumbers compares strings of digits of any length by value.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// Valid reports why v is not a version that a package may have, or nil.
func Valid(v string) error {
	if err := valid(v); err != nil {
		return fmt.Errorf("reading version %q: %w", v, err)
	}
	return nil
}

func valid(v string) error {
	if v == "" {
		return errors.New("it is empty")
	}
	rest := v
	if i := strings.IndexByte(v, ':'); i >= 0 {
		if _, err := strconv.ParseUint(v[:i], 10, 31); err != nil {
			return errors.New("the epoch before the colon is not a number below 2^31")
		}
		rest = v[i+1:]
	}
	upstream, revision := rest, ""
	if i := strings.LastIndexByte(rest, '-'); i >= 0 {
		if upstream, revision = rest[:i], rest[i+1:]; revision == "" {
			return errors.New("the revision after the hyphen is empty")
		}
	}
	if upstream == "" || !isDigit(upstream[0]) {
		return errors.New("the upstream version does not start with a digit")
	}
	if c, bad := stray(upstream, ".-+~:"); bad {
		return fmt.Errorf("the upstream version contains %q", c)
	}
	if c, bad := stray(revision, ".+~"); bad {
		return fmt.Errorf("the revision contains %q", c)
	}
	return nil
}

// stray finds a byte that is neither alphanumeric nor in allowed.
func stray(s, allowed string) (rune, bool) {
	for _, c := range s {
		if c < 0x80 && (isDigit(byte(c)) || isLetter(byte(c))) {
			continue
		}
		if !strings.ContainsRune(allowed, c) {
			return c, true
		}
	}
	return 0, false
}

// Satisfies reports whether version v meets the relation "op want". The
// empty operator asks for nothing. The obsolete "<" and ">" mean "<=" and
// ">=" (deb-control(5)). An unknown operator is never met.
func Satisfies(v, op, want string) bool {
	switch op {
	case "":
		return true
	case "<<":
		return Compare(v, want) < 0
	case "<=", "<":
		return Compare(v, want) <= 0
	case "=":
		return Compare(v, want) == 0
	case ">=", ">":
		return Compare(v, want) >= 0
	case ">>":
		return Compare(v, want) > 0
	}
	return false
}
