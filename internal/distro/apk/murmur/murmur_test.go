package murmur

import "testing"

// Vectors of the reference implementation.
func TestHash(t *testing.T) {
	for _, c := range []struct {
		key  string
		seed uint32
		want uint32
	}{{"", 0, 0}, {"", 1, 0x514E28B7}, {"test", 0, 0xba6bd213}, {"Hello, world!", 0x9747b28c, 0x24884CBA}, {"aaaa", 0x9747b28c, 0x5A97808A}, {"aaa", 0x9747b28c, 0x283E0130}} {
		if got := Hash(c.key, c.seed); got != c.want {
			t.Errorf("%q, %#x: got %#x, want %#x", c.key, c.seed, got, c.want)
		}
	}
}
