// Package murmur walks through names as apk's hash tables do: where apk leaves an
// order to its tables, a tree depends on it.
package murmur

import "math/bits"

// buckets is the size of apk's tables of names and of folders, and seed is
// what their hash begins with.
const (
	buckets = 20000
	seed    = 5381
)

// Order is the order in which apk's table holds items that were entered in this
// one: by bucket, and in a bucket the latest first.
func Order[T any](items []T, key func(T) string) []T {
	table := make([][]T, buckets)
	for _, item := range items {
		b := Hash(key(item), seed) % buckets
		table[b] = append(table[b], item)
	}
	out := make([]T, 0, len(items))
	for _, bucket := range table {
		for i := len(bucket) - 1; i >= 0; i-- {
			out = append(out, bucket[i])
		}
	}
	return out
}

// Hash is MurmurHash3_x86_32 (public domain, A. Appleby).
func Hash(key string, seed uint32) uint32 {
	const c1, c2 = 0xcc9e2d51, 0x1b873593
	mix := func(k uint32) uint32 { return bits.RotateLeft32(k*c1, 15) * c2 }
	h, n := seed, len(key)
	for ; len(key) >= 4; key = key[4:] {
		k := uint32(key[0]) | uint32(key[1])<<8 | uint32(key[2])<<16 | uint32(key[3])<<24
		h = bits.RotateLeft32(h^mix(k), 13)*5 + 0xe6546b64
	}
	rest := uint32(0)
	for i := len(key) - 1; i >= 0; i-- {
		rest = rest<<8 | uint32(key[i])
	}
	if len(key) > 0 {
		h ^= mix(rest)
	}
	h ^= uint32(n)
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	return h ^ h>>16
}
