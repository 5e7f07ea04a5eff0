package machine

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes; in YAML written with a unit (K, M, G, T: powers of 1024).
type Size int64

// sizePattern is how a size is written.
const sizePattern = `^[0-9]+(\.[0-9]+)?[KMGT]$|^[0-9]+B$`

var sizeUnits = map[byte]float64{'B': 1, 'K': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40}

// ParseSize reads a size with its unit: "512M", "1.5G", "100B". A number
// without a unit is an error.
func ParseSize(s string) (Size, error) {
	if s == "" {
		return 0, fmt.Errorf("parsing size: empty; write a unit, for example 512M")
	}
	unit, ok := sizeUnits[s[len(s)-1]]
	number := s[:len(s)-1]
	if !ok || !digits(strings.Replace(number, ".", "", 1)) {
		return 0, fmt.Errorf("parsing size %q: want a number with a unit (K, M, G or T), for example 512M", s)
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.HasPrefix(number, ".") || strings.HasSuffix(number, ".") || unit == 1 && strings.Contains(number, ".") {
		return 0, fmt.Errorf("parsing size %q: want a number with a unit (K, M, G or T), for example 512M", s)
	}
	if f*unit >= math.MaxInt64 {
		return 0, fmt.Errorf("parsing size %q: more than 8388607T", s)
	}
	return Size(f * unit), nil
}

// String writes the size with the largest unit that divides it.
func (s Size) String() string {
	for _, u := range []struct {
		name  string
		bytes Size
	}{{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}} {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// digits tells whether s is a non-empty row of ASCII digits.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
