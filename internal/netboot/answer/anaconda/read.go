package anaconda

import (
	"fmt"
	"strings"
)

// Limits of what is read.
const (
	maxBytes = 1 << 20
	maxLines = 20_000
)

// statement is one command with its options, or a whole section.
type statement struct {
	line    int // from 1
	words   []string
	section bool
	body    []string // lines of a section
	err     error    // of a line that cannot be split
}

func (s *statement) name() string {
	if len(s.words) == 0 {
		return ""
	}
	return s.words[0]
}

// options are --name=value, --name value and --name alone; rest are the others.
// with lists options that take their value from the next word.
func (s *statement) options(with ...string) (options map[string]string, rest []string) {
	options = map[string]string{}
	words := s.words[min(1, len(s.words)):]
	for i := 0; i < len(words); i++ {
		name, option := strings.CutPrefix(words[i], "--")
		if !option {
			rest = append(rest, words[i])
			continue
		}
		name, value, given := strings.Cut(name, "=")
		if !given && i+1 < len(words) && !strings.HasPrefix(words[i+1], "--") && contains(with, name) {
			i++
			value = words[i]
		}
		options[name] = value
	}
	return options, rest
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// read splits a kickstart into statements.
func read(text string) ([]statement, error) {
	if len(text) > maxBytes {
		return nil, fmt.Errorf("it has %d bytes, more than a kickstart ever has (%d)", len(text), maxBytes)
	}
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	if len(lines) > maxLines {
		return nil, fmt.Errorf("it has %d lines, more than a kickstart ever has (%d)", len(lines), maxLines)
	}
	var out []statement
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "" || line[0] == '#' {
			continue
		}
		s := statement{line: i + 1}
		s.words, s.err = split(line)
		if sections[s.name()] {
			s.section = true
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "%end"; i++ {
				s.body = append(s.body, lines[i])
			}
			if i >= len(lines) {
				return nil, fmt.Errorf("line %d: %s has no %%end", s.line, s.name())
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// sections are what ends with %end.
var sections = map[string]bool{
	"%packages": true, "%pre": true, "%pre-install": true, "%post": true, "%onerror": true, "%traceback": true, "%addon": true, "%anaconda": true, "%certificate": true,
}

// split makes words as a shell does: quotes and backslashes protect, a # at the
// start of a word begins a comment.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inside, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case quote == '\'' && c == '\'', quote == '"' && c == '"':
			quote = 0
		case quote == '\'':
			word.WriteByte(c)
		case c == '\\' && i+1 < len(line) && (quote == 0 || strings.IndexByte(`"\$`, line[i+1]) >= 0):
			i++
			word.WriteByte(line[i])
			inside = true
		case quote == '"':
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, inside = c, true
		case c == ' ' || c == '\t':
			if inside {
				words = append(words, word.String())
				word.Reset()
				inside = false
			}
		case c == '#' && !inside:
			return words, nil
		default:
			word.WriteByte(c)
			inside = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed")
	}
	if inside {
		words = append(words, word.String())
	}
	return words, nil
}
