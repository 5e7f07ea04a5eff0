package partition

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// GUID in the order in which it is printed; on the disk its first three
// fields are little-endian (UEFI, appendix A).
type GUID [16]byte

// String is the form that tools print, in small letters.
func (g GUID) String() string {
	s := hex.EncodeToString(g[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// ParseGUID reads the printed form.
func ParseGUID(s string) (g GUID, err error) {
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		if n, err := hex.Decode(g[:], []byte(strings.ReplaceAll(s, "-", ""))); err == nil && n == len(g) {
			return g, nil
		}
	}
	return GUID{}, fmt.Errorf("parsing GUID %q: want 8-4-4-4-12 hexadecimal digits", s)
}

func mustGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic(err)
	}
	return g
}

// swapped turns the printed order into that of the disk, and back.
func (g GUID) swapped() GUID {
	return GUID{g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15]}
}
