package tftp

import (
	"strconv"
	"time"
)

// Limits of what is granted to a client.
const (
	minBlock     = 8    // RFC 2348
	plainBlock   = 512  // RFC 1350
	ethernetIPv4 = 1468 // 1500 less the headers of IPv4, UDP and TFTP
	ethernetIPv6 = 1448
	maxWindow    = 64 // RFC 7440 allows 65535; 64 full blocks are what one send carries
)

// terms are what both ends agreed on.
type terms struct {
	block   int
	window  int
	timeout time.Duration // asked for by the client; 0: ours
	sized   bool          // it asked for the size
	answer  []option      // of the option acknowledgement; empty: none is sent
}

// negotiate grants what is understood and within limits, and leaves out the
// rest, as RFC 2347 asks. size is negative where it is not known.
func negotiate(asked []option, size int64, maxBlock int) terms {
	t := terms{block: plainBlock, window: 1}
	seen := map[string]bool{}
	for _, o := range asked {
		n, err := strconv.ParseInt(o.value, 10, 64)
		if err != nil || seen[o.name] {
			continue
		}
		seen[o.name] = true
		switch {
		case o.name == "blksize" && n >= minBlock && n <= 65464:
			t.block = min(int(n), maxBlock)
			t.grant(o.name, int64(t.block))
		case o.name == "windowsize" && n >= 1 && n <= 65535:
			t.window = int(min(n, maxWindow))
			t.grant(o.name, int64(t.window))
		case o.name == "timeout" && n >= 1 && n <= 255:
			t.timeout = time.Duration(n) * time.Second
			t.grant(o.name, n)
		case o.name == "tsize" && n >= 0 && size >= 0:
			t.sized = true
			t.grant(o.name, size)
		}
	}
	return t
}

func (t *terms) grant(name string, n int64) {
	t.answer = append(t.answer, option{name, strconv.FormatInt(n, 10)})
}
