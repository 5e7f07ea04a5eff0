package progress

import (
	"fmt"
	"strings"
	"time"
)

// size is an amount of bytes for people, in powers of 1000.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB", "TB"}
	v, u := float64(n), 0
	for v >= 999.5 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	if u == 0 || v >= 99.5 {
		return fmt.Sprintf("%.0f %s", v, units[u])
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}

// span is a duration for people.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// amounts is a step's bytes, rate and time left, as far as they are known.
func amounts(s *Step) string {
	var parts []string
	switch {
	case s.total > 0:
		parts = append(parts, fmt.Sprintf("%s of %s", size(s.done), size(s.total)))
	case s.done > 0:
		parts = append(parts, size(s.done))
	}
	if s.rate >= 1 && s.done > 0 {
		parts = append(parts, size(int64(s.rate))+"/s")
	}
	if left := s.left(); left > 0 {
		parts = append(parts, span(left)+" left")
	}
	return strings.Join(parts, ", ")
}

// finished is the line of a step that has ended.
func finished(s *Step) string {
	text := fmt.Sprintf("%s: %s", s.Name, span(s.took))
	if s.done > 0 {
		text += ", " + size(s.done)
	}
	if s.err != nil {
		text += ", failed"
	}
	return text
}
