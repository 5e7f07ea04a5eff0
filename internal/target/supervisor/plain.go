package supervisor

import (
	"bytes"
	"regexp"
	"strings"
	"unicode"
)

// escapes are the control sequences of ECMA-48 that consoles show: CSI, OSC,
// character sets and single characters.
var escapes = regexp.MustCompile(`\x1b(\[[0-9;?=]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()#][0-9A-Za-z]|[ -~])`)

// lastLines gives the last lines of what a console has shown, as plain text
// for a message: without control sequences, and of a line that was written
// over only what was written last.
func lastLines(data []byte, most int) string {
	const enough = 64 << 10
	if len(data) > enough {
		data = data[len(data)-enough:]
	}
	var lines []string
	for _, line := range bytes.Split(data, []byte("\n")) {
		text := PlainLine(string(line))
		if text == "" {
			continue
		}
		lines = append(lines, text)
	}
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// PlainLine makes one line of a console fit for a message: without control
// sequences, and what was written last where it was written over.
func PlainLine(line string) string {
	line = strings.TrimRight(escapes.ReplaceAllString(line, ""), "\r \t")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
	line = strings.ToValidUTF8(line, "?")
	line = strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, line)
	const widest = 200
	if runes := []rune(line); len(runes) > widest {
		line = string(runes[:widest])
	}
	return strings.TrimRight(line, " ")
}
