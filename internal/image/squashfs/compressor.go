package squashfs

// compressor compresses data blocks for one goroutine: with a cheap try
// before the dear one where there is little hope.
type compressor struct {
	codec
	quick codec // nil: the codec itself is quick
}

func newCompressor(s Writer) (c compressor, err error) {
	if c.codec, err = codecs[s.Compression].open(s.Level, s.BlockSize); err != nil {
		return c, err
	}
	if s.Compression != Zstd || s.Level > 1 {
		c.quick, err = newZstd(1, s.BlockSize)
	}
	return c, err
}

// block appends the compressed form of src to dst; ok is false when src is to
// be stored as it is.
func (c compressor) block(dst, src []byte) (out []byte, ok bool, err error) {
	if c.quick != nil && looksRandom(src) {
		if out, err = c.quick.compress(dst, src); err != nil || len(out) > len(src)-len(src)/64 {
			return out, false, err
		}
		dst = out[:0]
	}
	out, err = c.codec.compress(dst, src)
	return out, len(out) < len(src), err
}
