package apply

import (
	"slices"
	"strings"

	"slipway/internal/edits"
)

// nearest is up to three of the names that resemble a word, for "did you mean".
func nearest(word string, names []string) []string {
	type candidate struct {
		name string
		off  int
	}
	var list []candidate
	for _, name := range names {
		off := edits.Distance(word, name, max(2, len(word)/3))
		if strings.Contains(name, word) || strings.Contains(word, name) {
			off = min(off, 1)
		}
		if off <= max(2, len(word)/3) {
			list = append(list, candidate{name, off})
		}
	}
	slices.SortFunc(list, func(a, b candidate) int {
		if a.off != b.off {
			return a.off - b.off
		}
		return strings.Compare(a.name, b.name)
	})
	var best []string
	for _, c := range list[:min(3, len(list))] {
		best = append(best, c.name)
	}
	return slices.Compact(best)
}

// hint is nearest as the end of a message.
func hint(word string, names []string) string {
	if near := nearest(word, names); len(near) > 0 {
		return "; did you mean " + strings.Join(near, ", ") + "?"
	}
	return ""
}
