package probe

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// style is how a table looks on what it is written to.
type style struct {
	color bool
	width int // of the terminal; zero: no terminal, nothing is wrapped
}

// styleOf asks w: colours on a terminal unless NO_COLOR is set.
func styleOf(w io.Writer) style {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return style{}
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		width = 80
	}
	return style{color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb", width: width}
}

func (s style) mark(ok bool) string {
	switch {
	case ok && s.color:
		return "\x1b[32mok\x1b[0m    "
	case ok:
		return "ok    "
	case s.color:
		return "\x1b[31mFAILED\x1b[0m"
	}
	return "FAILED"
}

// WriteTable writes a proof for people: per target its stages and probes with
// their times, and under each failure its reason.
func WriteTable(w io.Writer, p *Proof) error { return writeTable(w, p, styleOf(w)) }

func writeTable(w io.Writer, p *Proof, s style) error {
	var b strings.Builder
	names := nameWidth(p)
	for i, t := range p.Targets {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s on %s\n", p.Machine, t.Name)
		s.rows(&b, "stage", withoutRepeats(t.Stages, t.Probes), names)
		s.rows(&b, "probe", t.Probes, names)
		s.verdict(&b, t)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the proof: %w", err)
	}
	return nil
}

func (s style) rows(b *strings.Builder, kind string, list []Result, names int) {
	for _, r := range list {
		fmt.Fprintf(b, "  %-6s %s  %s %7.2fs\n", kind, pad(r.Name, names), s.mark(r.OK), r.Seconds)
		if r.Reason != "" {
			s.paragraph(b, r.Reason, "         ")
		}
	}
}

// withoutRepeats leaves out the reason of a stage that is a probe's: it stands
// below, under the probe.
func withoutRepeats(stages, probes []Result) []Result {
	out := append([]Result{}, stages...)
	for i := range out {
		for _, p := range probes {
			if p.Reason != "" && strings.HasSuffix(out[i].Reason, p.Reason) {
				out[i].Reason = ""
			}
		}
	}
	return out
}

func (s style) verdict(b *strings.Builder, t TargetReport) {
	good := 0
	for _, r := range t.Probes {
		if r.OK {
			good++
		}
	}
	switch {
	case t.OK:
		fmt.Fprintf(b, "  proved in %.2fs: %s\n", t.Seconds, counted(good, len(t.Probes)))
	case len(t.Stages)+len(t.Probes) == 0:
		fmt.Fprintf(b, "  not proved after %.2fs\n", t.Seconds)
		s.paragraph(b, t.Reason, "  ")
	case len(t.Probes) == 0: // the reason stands at the stage
		fmt.Fprintf(b, "  not proved after %.2fs\n", t.Seconds)
	default:
		fmt.Fprintf(b, "  not proved after %.2fs: %s\n", t.Seconds, counted(good, len(t.Probes)))
	}
}

// counted counts probes in words.
func counted(good, all int) string {
	if all == 1 {
		return fmt.Sprintf("%d of 1 probe held", good)
	}
	return fmt.Sprintf("%d of %d probes held", good, all)
}

// paragraph writes text, wrapped to the terminal. What comes after its first
// line is a quotation and keeps its lines.
func (s style) paragraph(b *strings.Builder, text, indent string) {
	text, quoted, more := strings.Cut(text, "\n")
	if more {
		defer func() {
			for _, line := range strings.Split(quoted, "\n") {
				b.WriteString(indent + "  | " + line + "\n")
			}
		}()
	}
	room := s.width - len(indent)
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && s.width > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) >= room {
			b.WriteString(indent + line + "\n")
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		b.WriteString(indent + line + "\n")
	}
}

// nameWidth is the width of the longest name, within reason.
func nameWidth(p *Proof) int {
	width := 8
	for _, t := range p.Targets {
		for _, list := range [][]Result{t.Stages, t.Probes} {
			for _, r := range list {
				width = max(width, utf8.RuneCountInString(r.Name))
			}
		}
	}
	return min(width, 40)
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}
