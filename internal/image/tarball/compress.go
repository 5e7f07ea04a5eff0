package tarball

import "slipway/internal/image/compress"

// Compression is how an archive is compressed.
type Compression = compress.Format

// The compressions. All but None carry a checksum of the content.
const (
	None = compress.None
	Zstd = compress.Zstd
	Gzip = compress.Gzip
	XZ   = compress.XZ
)

// Decompress reads a plain or compressed stream; see compress.Reader.
var Decompress = compress.Reader
