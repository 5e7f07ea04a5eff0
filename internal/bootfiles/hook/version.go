package hook

import "strings"

// Compare orders kernel versions by age: negative if a is older. Numbers
// compare as numbers, letters before nothing: 6.1-rc1 is older than 6.1.
func Compare(a, b string) int {
	for a != "" || b != "" {
		x, y := number(&a), number(&b)
		if len(x) != len(y) {
			return len(x) - len(y)
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		x, y = letters(&a), letters(&b)
		if xr, yr := strings.HasPrefix(strings.TrimLeft(x, "-~."), "rc"), strings.HasPrefix(strings.TrimLeft(y, "-~."), "rc"); xr != yr {
			if xr {
				return -1
			}
			return 1
		}
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// newestFirst sorts a handful of versions; package sort would weigh more than
// the whole hook in the guest helper.
func newestFirst(versions []string) {
	for i := range versions {
		for j := i; j > 0 && Compare(versions[j-1], versions[j]) < 0; j-- {
			versions[j-1], versions[j] = versions[j], versions[j-1]
		}
	}
}

// number takes leading digits off, without zeros in front.
func number(s *string) string {
	n := 0
	for n < len(*s) && (*s)[n] >= '0' && (*s)[n] <= '9' {
		n++
	}
	digits := strings.TrimLeft((*s)[:n], "0")
	*s = (*s)[n:]
	return digits
}

// letters takes off what comes before the next digit.
func letters(s *string) string {
	n := strings.IndexAny(*s, "0123456789")
	if n < 0 {
		n = len(*s)
	}
	text := (*s)[:n]
	*s = (*s)[n:]
	return text
}
