package pool

import "strings"

// relation is one alternative as written; name keeps its qualifier.
type relation struct {
	name, op, version string
	or                bool
}

// scan reads a relationship field (Debian policy 7.1) as it stands in binary
// packages, without allocating. What it cannot read ends the field, as an
// index has been checked by the archive and a stanza is better than none.
func scan(s string, yield func(relation)) {
	for {
		s = strings.TrimLeft(s, " \t\r\n,")
		if s == "" {
			return
		}
		end := strings.IndexAny(s, " \t\r\n(),|[<")
		if end == 0 {
			return
		}
		if end < 0 {
			end = len(s)
		}
		r := relation{name: s[:end]}
		s = skipSpace(s[end:])
		if s != "" && s[0] == '(' {
			closing := strings.IndexByte(s, ')')
			if closing < 0 {
				return
			}
			r.op, r.version = splitVersion(s[1:closing])
			s = skipSpace(s[closing+1:])
		}
		s = skipRestrictions(s)
		r.or = s != "" && s[0] == '|'
		if r.or {
			s = skipSpace(s[1:])
		}
		yield(r)
	}
}

func skipSpace(s string) string { return strings.TrimLeft(s, " \t\r\n") }

// skipRestrictions passes over "[arch]" and "<profile>", which only sources have.
func skipRestrictions(s string) string {
	for s != "" && (s[0] == '[' || s[0] == '<') {
		closing := strings.IndexAny(s, "]>")
		if closing < 0 {
			return ""
		}
		s = skipSpace(s[closing+1:])
	}
	return s
}

// splitVersion splits ">= 1.2" into its parts.
func splitVersion(s string) (op, ver string) {
	s = strings.TrimSpace(s)
	n := 0
	for n < len(s) && n < 2 && strings.IndexByte("<>=!", s[n]) >= 0 {
		n++
	}
	op, ver = s[:n], strings.TrimSpace(s[n:])
	if op == "" {
		op = "="
	}
	return op, ver
}
