package apply

import (
	"slices"
	"strings"
)

// nearest is up to three of the names that resemble a word, for "did you mean".
func nearest(word string, names []string) []string {
	type candidate struct {
		name string
		off  int
	}
	var list []candidate
	for _, name := range names {
		off := distance(word, name)
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

// distance is the number of insertions, deletions and replacements of bytes
// between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for k := 1; k <= len(b); k++ {
			cost := diagonal
			if a[i-1] != b[k-1] {
				cost++
			}
			diagonal = row[k]
			row[k] = min(cost, row[k]+1, row[k-1]+1)
		}
	}
	return row[len(b)]
}
