package probe

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// stageOrder is the order of stages in a matrix, in which no single target has
// all of them.
var stageOrder = []string{"build", "image", "start", "container", "firmware", "loader", "kernel", "root", "agent", "network", "init", "login", "service"}

// WriteMatrix writes several targets side by side: a row per stage and probe
// with its time, a column per target, and the reasons below.
func WriteMatrix(w io.Writer, p *Proof) error { return writeMatrix(w, p, styleOf(w)) }

func writeMatrix(w io.Writer, p *Proof, s style) error {
	var b strings.Builder
	stages, probes := rowNames(p)
	names := nameWidth(p)
	b.WriteString(pad("", names+7))
	for _, t := range p.Targets {
		fmt.Fprintf(&b, "  %-*s", cellWidth(t), t.Name)
	}
	b.WriteByte('\n')
	s.matrixRows(&b, p, "stage", stages, names, func(t TargetReport) []Result { return t.Stages })
	s.matrixRows(&b, p, "probe", probes, names, func(t TargetReport) []Result { return t.Probes })
	b.WriteString(pad("total", names+7))
	for _, t := range p.Targets {
		s.cell(&b, t, &Result{OK: t.OK, Seconds: t.Seconds})
	}
	b.WriteByte('\n')
	for _, t := range p.Targets {
		s.reasons(&b, t)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("writing the proof: %w", err)
	}
	return nil
}

func (s style) matrixRows(b *strings.Builder, p *Proof, kind string, rows []string, names int, of func(TargetReport) []Result) {
	for _, name := range rows {
		fmt.Fprintf(b, "%-6s %s", kind, pad(name, names))
		for _, t := range p.Targets {
			list := of(t)
			i := slices.IndexFunc(list, func(r Result) bool { return r.Name == name })
			if i < 0 {
				s.cell(b, t, nil)
				continue
			}
			s.cell(b, t, &list[i])
		}
		b.WriteByte('\n')
	}
}

// cellText is as wide as "FAILED 1234.56s".
const cellText = 15

func cellWidth(t TargetReport) int { return max(cellText, utf8.RuneCountInString(t.Name)) }

// cell writes one result, or that there is none.
func (s style) cell(b *strings.Builder, t TargetReport, r *Result) {
	rest := strings.Repeat(" ", cellWidth(t)-cellText)
	if r == nil {
		b.WriteString("  " + pad("-", cellText) + rest)
		return
	}
	fmt.Fprintf(b, "  %s %7.2fs%s", s.mark(r.OK), r.Seconds, rest)
}

// reasons writes why a target was not proved.
func (s style) reasons(b *strings.Builder, t TargetReport) {
	for _, r := range append(withoutRepeats(t.Stages, t.Probes), t.Probes...) {
		if !r.OK && r.Reason != "" {
			s.paragraph(b, fmt.Sprintf("%s, %s: %s", t.Name, r.Name, r.Reason), "")
		}
	}
	if len(t.Stages)+len(t.Probes) == 0 && !t.OK {
		s.paragraph(b, t.Name+": "+t.Reason, "")
	}
}

// rowNames lists all stages and all probes, each once, in their order.
func rowNames(p *Proof) (stages, probes []string) {
	add := func(names []string, list []Result) []string {
		for _, r := range list {
			if !slices.Contains(names, r.Name) {
				names = append(names, r.Name)
			}
		}
		return names
	}
	for _, t := range p.Targets {
		stages, probes = add(stages, t.Stages), add(probes, t.Probes)
	}
	place := func(name string) int {
		if i := slices.Index(stageOrder, name); i >= 0 {
			return i
		}
		return len(stageOrder)
	}
	slices.SortStableFunc(stages, func(a, b string) int { return place(a) - place(b) })
	return stages, probes
}
