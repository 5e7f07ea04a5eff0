package install

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// jksBytes is a store of one certificate, written by hand.
func jksBytes(date uint64, tag byte) []byte {
	b := []byte{
		0xfe, 0xed, 0xfe, 0xed, // magic
		0, 0, 0, 2, // version
		0, 0, 0, 1, // one entry
		0, 0, 0, tag,
		0, 2, 'c', 'a', // alias
	}
	b = binary.BigEndian.AppendUint64(b, date)
	b = append(b, 0, 5, 'X', '.', '5', '0', '9') // type
	b = append(b, 0, 0, 0, 3, 1, 2, 3)           // certificate
	return append(b, jksDigest(b)...)
}

func TestSettleDates(t *testing.T) {
	want := jksBytes(1700000000000, 2)
	got, ok := settleDates(jksBytes(1795256421690, 2), 1700000000)
	if !ok || !bytes.Equal(got, want) {
		t.Errorf("got %x %v, want %x", got, ok, want)
	}
	broken := jksBytes(1, 2)
	broken[20] ^= 1
	for name, data := range map[string][]byte{
		"empty": nil, "short": []byte("short"), "damaged": broken, "a private key": jksBytes(1, 1),
		"truncated": jksBytes(1, 2)[:30],
	} {
		if _, ok := settleDates(data, 1); ok {
			t.Errorf("%s: taken for a store of certificates", name)
		}
	}
}

// What is accepted keeps its length and is accepted again, unchanged.
func FuzzSettleDates(f *testing.F) {
	f.Add(jksBytes(1, 2))
	f.Add(jksBytes(1, 1))
	f.Add([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append(bytes.Clone(body), jksDigest(body)...)
		got, ok := settleDates(data, 7)
		if !ok {
			return
		}
		if again, ok := settleDates(got, 7); !ok || len(got) != len(data) || !bytes.Equal(again, got) {
			t.Errorf("%x became %x, then %x (%v)", data, got, again, ok)
		}
	})
}
