package vfat

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// name is what a directory entry is called: always a short name, and a long
// one unless the short one is the very name.
type name struct {
	short [11]byte
	long  []uint16 // nil: the short name says it all
}

const (
	unitsPerEntry = 13  // of a long name in one directory entry
	maxUnits      = 255 // of UTF-16 in a long name
)

func (n *name) entries() int { return 1 + (len(n.long)+unitsPerEntry-1)/unitsPerEntry }

// shortByte tells whether a short name can hold a byte: fatgen103, 6.1. Bytes
// above ASCII depend on a code page, so they are never used.
func shortByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || strings.IndexByte("!#$%&'()-@^_`{}~", c) >= 0
}

// checkName refuses what no FAT driver finds again.
func checkName(s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("a FAT holds names as Unicode, and this is no UTF-8; rename it")
	}
	for _, r := range s {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`"*/:<>?\|`, r) {
			return fmt.Errorf("a FAT cannot hold %q in a name; rename it", r)
		}
	}
	if last := s[len(s)-1]; last == '.' || last == ' ' {
		return fmt.Errorf("a FAT drops %q at the end of a name; rename it", last)
	}
	if n := len(utf16.Encode([]rune(s))); n > maxUnits {
		return fmt.Errorf("a name of %d characters: a FAT holds %d; rename it", n, maxUnits)
	}
	return nil
}

// fold maps names that differ only in case to one: a FAT finds files so.
func fold(s string) string {
	return strings.Map(func(r rune) rune { return unicode.ToUpper(unicode.ToLower(r)) }, s)
}

// nameAll checks the names of one folder and gives each its short name, in
// order. Names that are short by themselves come first, so that no alias
// takes one of them.
func nameAll(nodes []*node) error {
	folded := make(map[string]*node, len(nodes))
	for _, n := range nodes {
		base := n.path[strings.LastIndexByte(n.path, '/')+1:]
		if err := checkName(base); err != nil {
			return fmt.Errorf("%q: %w", n.path, err)
		}
		if other := folded[fold(base)]; other != nil {
			return fmt.Errorf("%q and %q differ only in case, and a FAT takes them for the same; rename one", other.path, n.path)
		}
		folded[fold(base)] = n
	}
	a := aliases{used: make(map[[11]byte]bool, len(nodes)), last: map[[11]byte]int{}}
	var rest []*node
	for _, n := range nodes {
		base := n.path[strings.LastIndexByte(n.path, '/')+1:]
		short, lossless := shorten(base)
		if base != strings.ToUpper(base) || !lossless {
			n.name.long = utf16.Encode([]rune(base))
		}
		n.name.short = short
		if lossless {
			a.used[short] = true
		} else {
			rest = append(rest, n)
		}
	}
	for _, n := range rest {
		n.name.short = a.alias(n.name.short)
	}
	return nil
}

// shorten is the basis of a short name: fatgen103, 7.2. lossless says that it
// is the name itself but for case.
func shorten(s string) (out [11]byte, lossless bool) {
	copy(out[:], "           ")
	lossless = true
	trimmed := strings.TrimLeft(s, ". ")
	base, ext := trimmed, ""
	if i := strings.LastIndexByte(trimmed, '.'); i >= 0 {
		base, ext = trimmed[:i], trimmed[i+1:]
	}
	lossless = trimmed == s && len(base) <= 8 && len(ext) <= 3 && base != ""
	put := func(to []byte, from string) {
		i := 0
		for _, r := range from {
			if r == ' ' || r == '.' {
				lossless = false
				continue
			}
			if i == len(to) {
				lossless = false
				return
			}
			c := byte('_')
			if r >= 'a' && r <= 'z' {
				c = byte(r) - 'a' + 'A'
			} else if r < utf8.RuneSelf && shortByte(byte(r)) {
				c = byte(r)
			} else {
				lossless = false
			}
			to[i] = c
			i++
		}
	}
	put(out[:8], base)
	put(out[8:], ext)
	if out[0] == ' ' {
		out[0], lossless = '_', false
	}
	return out, lossless
}

// aliases are the short names of one folder.
type aliases struct {
	used map[[11]byte]bool
	last map[[11]byte]int // the number given last for a basis
}

// alias makes a basis unique by a number at its end: fatgen103, 7.3. A folder
// holds fewer than 65536 names, so there is always one.
func (a *aliases) alias(basis [11]byte) [11]byte {
	length := 8
	for length > 0 && basis[length-1] == ' ' {
		length--
	}
	for i := a.last[basis] + 1; ; i++ {
		out, tail := basis, "~"+strconv.Itoa(i)
		copy(out[min(length, 8-len(tail)):8], tail+"       ")
		if !a.used[out] {
			a.used[out], a.last[basis] = true, i
			return out
		}
	}
}

// checksum ties a long name to its short one: fatgen103, 7.2.
func checksum(short []byte) byte {
	var sum byte
	for _, c := range short[:11] {
		sum = sum>>1 | sum<<7
		sum += c
	}
	return sum
}
