package natsstore

import (
	"fmt"
	"strings"
)

// Subjects are e.KEY for events and r.TABLE.KEY for records. Whatever is not
// plain in a key is written as =XX, since dots, stars and blanks mean
// something in a subject.
const (
	eventPrefix  = "e."
	recordPrefix = "r."
)

func eventSubject(key string) string { return eventPrefix + token(key) }

func recordSubject(table, key string) string { return recordPrefix + token(table) + "." + token(key) }

func token(s string) string {
	plain := true
	for i := range len(s) {
		if !isPlain(s[i]) {
			plain = false
			break
		}
	}
	if plain && s != "" {
		return s
	}
	var b strings.Builder
	for i := range len(s) {
		if isPlain(s[i]) {
			b.WriteByte(s[i])
		} else {
			fmt.Fprintf(&b, "=%02X", s[i])
		}
	}
	if b.Len() == 0 {
		return "="
	}
	return b.String()
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == ':'
}

// untoken is token backwards; ok is false for what token does not make.
func untoken(s string) (key string, ok bool) {
	if s == "=" {
		return "", true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '=' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		b.WriteByte(byte(hi<<4 | lo))
		i += 2
	}
	key = b.String()
	return key, token(key) == s
}

func unhex(c byte) int { return strings.IndexByte("0123456789ABCDEF", c) }
