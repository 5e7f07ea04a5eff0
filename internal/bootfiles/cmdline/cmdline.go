// Package cmdline reads the kernel's command line: words separated by blanks,
// each KEY or KEY=VALUE, with double quotes around what holds blanks
// (Documentation/admin-guide/kernel-parameters.rst).
package cmdline

import "strings"

// Param is one word.
type Param struct {
	Key   string
	Value string
	Set   bool // had an equals sign
}

// Line is a parsed command line.
type Line []Param

// Parse splits a command line. It accepts anything.
func Parse(text string) Line {
	var line Line
	for _, word := range split(strings.TrimSpace(text)) {
		p := Param{}
		p.Key, p.Value, p.Set = strings.Cut(word, "=")
		p.Key, p.Value = unquote(p.Key), unquote(p.Value)
		line = append(line, p)
	}
	return line
}

// Get gives the value of the last word with that key.
func (l Line) Get(key string) (string, bool) {
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].Key == key {
			return l[i].Value, true
		}
	}
	return "", false
}

// All gives the values of all words with that key, in order.
func (l Line) All(key string) []string {
	var all []string
	for _, p := range l {
		if p.Key == key && p.Set {
			all = append(all, p.Value)
		}
	}
	return all
}

// Last gives whichever of the keys comes last; empty if none is there.
func (l Line) Last(keys ...string) string {
	for i := len(l) - 1; i >= 0; i-- {
		for _, k := range keys {
			if l[i].Key == k {
				return k
			}
		}
	}
	return ""
}

func split(text string) []string {
	var words []string
	start, quoted := -1, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
			if start < 0 {
				start = i
			}
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if start >= 0 {
				words = append(words, text[start:i])
			}
			start = -1
		case start < 0:
			start = i
		}
	}
	if start >= 0 {
		words = append(words, text[start:])
	}
	return words
}

func unquote(s string) string { return strings.ReplaceAll(s, `"`, "") }
