package squashfs

import "bytes"

// allZero reports whether a block has nothing but zeros.
func allZero(b []byte) bool {
	return len(b) > 0 && b[0] == 0 && bytes.Equal(b[:len(b)-1], b[1:])
}

const (
	samples    = 16
	sampleSize = 512
)

// looksRandom reports whether the bytes in samples of a block are spread as
// evenly as those of compressed or encrypted data. Matches may still be found
// in it, so this is reason for a cheap try, not for giving up.
//
// Of n evenly spread bytes the squares of the 256 frequencies sum up to
// n*n/256 + n; English text has about 17 times that, machine code 5 times.
func looksRandom(b []byte) bool {
	const n = samples * sampleSize
	if len(b) < n {
		return false
	}
	var count [256]uint32
	step := (len(b) - sampleSize) / (samples - 1)
	for i := range samples {
		for _, c := range b[i*step:][:sampleSize] {
			count[c]++
		}
	}
	sum := uint64(0)
	for _, c := range count {
		sum += uint64(c) * uint64(c)
	}
	const even = n*n/256 + n
	return sum < even+even/16
}
