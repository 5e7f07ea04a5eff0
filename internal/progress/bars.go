package progress

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// bars keeps one line per running step at the bottom of a terminal, and prints
// everything else above. The cursor stays visible and rests at the start of
// the area, so that nothing has to be put right after an interruption.
type bars struct {
	w       io.Writer
	verbose bool
	color   bool
	rows    int // of the area that is shown now
}

func newBars(w io.Writer, verbose bool) *bars {
	return &bars{w: w, verbose: verbose, color: os.Getenv("NO_COLOR") == ""}
}

// most is how many steps are shown at once.
const most = 6

func (b *bars) begin(s *Step) {
	if b.verbose {
		b.above(s.Name + " ...")
	}
}

func (b *bars) end(s *Step) {
	mark, color := "✓ ", "32"
	if s.err != nil {
		mark, color = "✗ ", "31"
	}
	if b.color {
		mark = "\x1b[" + color + "m" + mark + "\x1b[0m"
	}
	b.above(mark + finished(s))
}

func (b *bars) note(step, text string) {
	if step == "" {
		b.above(text)
	} else if b.verbose {
		b.above(step + ": " + text)
	}
}

func (b *bars) log(text string) {
	if b.verbose {
		b.above(text)
	}
}

func (b *bars) close([]*Step) {
	io.WriteString(b.w, b.erase())
	b.rows = 0
}

// above prints a line where the area was; the next tick draws the area anew.
func (b *bars) above(text string) {
	io.WriteString(b.w, b.erase()+text+"\n")
	b.rows = 0
}

// erase clears from the cursor, which rests at the area's start, to the end of
// the screen.
func (b *bars) erase() string {
	if b.rows == 0 {
		return ""
	}
	return "\r\x1b[J"
}

// tick draws the area with one write, each line over its old self, so that
// nothing flickers.
func (b *bars) tick(steps []*Step) {
	width := b.width()
	var out strings.Builder
	shown := steps[:min(len(steps), most)]
	for i, s := range shown {
		if i > 0 {
			out.WriteString("\n")
		}
		out.WriteString("\r" + fit(line(s, width), width) + "\x1b[K")
	}
	out.WriteString("\x1b[J\r") // what is left of a larger area
	if up := len(shown) - 1; up > 0 {
		fmt.Fprintf(&out, "\x1b[%dA", up)
	}
	b.rows = len(shown)
	io.WriteString(b.w, out.String())
}

// line is a running step: name, bar, amounts.
func line(s *Step, width int) string {
	text := s.Name
	if s.total > 0 {
		part := min(1, float64(s.done)/float64(s.total))
		text += fmt.Sprintf(" [%s] %3.0f%%", bar(part, max(10, width/5)), part*100)
	}
	if more := amounts(s); more != "" {
		text += "  " + more
	} else {
		text += "  " + span(s.sampled.Sub(s.began))
	}
	if s.text != "" {
		text += "  " + s.text
	}
	return text
}

func bar(part float64, width int) string {
	full := int(part * float64(width))
	return strings.Repeat("=", full) + strings.Repeat(" ", width-full)
}

// fit cuts a line so that it never wraps; a wrapped line could not be drawn
// over.
func fit(text string, width int) string {
	if utf8.RuneCountInString(text) < width {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(0, width-2)]) + "…"
}

// width asks the terminal each time, because windows change.
func (b *bars) width() int {
	if f, ok := b.w.(interface{ Fd() uintptr }); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
			return int(size.Col)
		}
	}
	return 80
}
