// Package archived is what the readers of packages and of root archives have in
// common: bounds of foreign archives, and the walk over a tar archive inside
// one. What a member may be is each family's own affair.
package archived

import (
	"fmt"
	"io"
)

// Limits bound what an archive may contain. A zero field means its default.
type Limits struct {
	Entries int   // members of the archive of files
	Total   int64 // its bytes when decompressed
	Ratio   int64 // decompressed to compressed bytes, once past 64 MiB
	Path    int   // bytes of a name or a link target
	Control int64 // bytes of what describes a package, decompressed
}

// Or takes what is zero from defaults.
func (l Limits) Or(defaults Limits) Limits {
	if l.Entries == 0 {
		l.Entries = defaults.Entries
	}
	if l.Total == 0 {
		l.Total = defaults.Total
	}
	if l.Ratio == 0 {
		l.Ratio = defaults.Ratio
	}
	if l.Path == 0 {
		l.Path = defaults.Path
	}
	if l.Control == 0 {
		l.Control = defaults.Control
	}
	return l
}

// free is how many bytes any archive may become, whatever its ratio.
const free = 64 << 20

// Bounded fails a read past a number of bytes, so that a small archive cannot
// become a large one unnoticed.
type Bounded struct {
	N    int64 // bytes read so far
	r    io.Reader
	left int64
	what string
	over error
}

// Bound limits r, the decompressed form of size bytes, to total bytes and to a
// ratio. Errors wrap over.
func Bound(r io.Reader, size, total, ratio int64, over error) *Bounded {
	b := &Bounded{r: r, left: total, what: fmt.Sprintf("more than %d bytes", total), over: over}
	if size < (1<<62)/ratio && free+size*ratio < total {
		b.left, b.what = free+size*ratio, fmt.Sprintf("far more than its size, over %d times", ratio)
	}
	return b
}

func (b *Bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	b.N += int64(n)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: it unpacks to %s", b.over, b.what)
	}
	return n, err
}
