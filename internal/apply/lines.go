package apply

import (
	"fmt"
	"slices"
	"strings"
)

// replacedLines is text with a line per value in place of the lines that begin
// with one of the words.
func replacedLines(text string, words, values []string, form string) string {
	var own []string
	for _, v := range values {
		own = append(own, fmt.Sprintf(form, v))
	}
	var out []string
	done := false
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || !slices.Contains(words, fields[0]):
			out = append(out, line)
		case !done:
			out, done = append(out, own...), true
		}
	}
	if !done {
		out = append(out, own...)
	}
	return strings.Join(out, "\n") + "\n"
}
