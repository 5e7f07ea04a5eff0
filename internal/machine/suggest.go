package machine

import (
	"strings"

	"slipway/internal/edits"
)

// nearest returns the candidate that is closest to what was written, "" if
// none is close enough to be meant.
func nearest(written string, candidates []string) string {
	best, least := "", len(written)/3+2
	for _, c := range candidates {
		if d := distance(strings.ToLower(written), c); d < least {
			best, least = c, d
		}
	}
	return best
}

// longest is what a word may have to be compared: keys and names are short.
const longest = 64

// distance counts the edits that turn a into b.
func distance(a, b string) int {
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	return edits.Distance(a, b, longest)
}
