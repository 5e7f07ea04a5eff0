package machine

import "strings"

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

// distance counts the edits that turn a into b: one character inserted,
// removed or changed, or two neighbours exchanged.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return max(len(a), len(b))
	}
	rows := [3][]int{make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		last2, last, row := rows[0], rows[1], rows[2]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], last2[j-2]+1)
			}
		}
		rows = [3][]int{last, row, last2}
	}
	return rows[1][len(b)]
}
