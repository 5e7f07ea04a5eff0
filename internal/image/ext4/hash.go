package ext4

import (
	"encoding/binary"
	"math/bits"
)

// hashHalfMD4 is the version of the directory hash, computed over signed
// bytes, as flagSignedHash in the superblock says.
const hashHalfMD4 = 1

// nameHash gives the major and minor hash of a name in an indexed folder.
// https://docs.kernel.org/filesystems/ext4/dynamic.html#hash-tree-directories
func nameHash(name string, seed *[16]byte) (major, minor uint32) {
	s := [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	if *seed != ([16]byte{}) {
		for i := range s {
			s[i] = binary.LittleEndian.Uint32(seed[4*i:])
		}
	}
	for {
		in := hashWords(name)
		halfMD4(&s, &in)
		if len(name) <= 32 {
			break
		}
		name = name[32:]
	}
	major = s[1] &^ 1
	if major == 0xfffffffe { // means the end of a folder
		major = 0xfffffffc
	}
	return major, s[2]
}

// hashWords makes the input of one round of up to 32 bytes.
func hashWords(s string) (in [8]uint32) {
	pad := uint32(len(s))
	pad |= pad << 8
	pad |= pad << 16
	s = s[:min(len(s), 32)]
	for i := range in {
		v := pad
		for j := 4 * i; j < min(len(s), 4*i+4); j++ {
			v = uint32(int32(int8(s[j]))) + v<<8
		}
		in[i] = v
	}
	return in
}

// halfMD4 is the compression function of RFC 1320 with half the input and
// half the steps.
func halfMD4(s *[4]uint32, in *[8]uint32) {
	const k2, k3 = 0x5a827999, 0x6ed9eba1
	a, b, c, d := s[0], s[1], s[2], s[3]
	step := func(f, x uint32, r int) {
		a, b, c, d = d, bits.RotateLeft32(a+f+x, r), b, c
	}
	for i, r := range [8]int{3, 7, 11, 19, 3, 7, 11, 19} {
		step(d^b&(c^d), in[i], r)
	}
	for i, r := range [8]int{3, 5, 9, 13, 3, 5, 9, 13} {
		step(b&c+(b^c)&d, in[[8]int{1, 3, 5, 7, 0, 2, 4, 6}[i]]+k2, r)
	}
	for i, r := range [8]int{3, 9, 11, 15, 3, 9, 11, 15} {
		step(b^c^d, in[[8]int{3, 7, 2, 6, 1, 5, 0, 4}[i]]+k3, r)
	}
	s[0], s[1], s[2], s[3] = s[0]+a, s[1]+b, s[2]+c, s[3]+d
}
