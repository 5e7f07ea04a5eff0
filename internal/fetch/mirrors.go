package fetch

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// health remembers, by scheme and host, how often in a row an address failed
// for a temporary reason, so that a dead mirror is not asked first for each
// of a thousand files.
type health struct {
	mu    sync.Mutex
	fails map[string]int
}

// deadAfter is how many failures in a row put a mirror behind the others.
const deadAfter = 2

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	return origin(u)
}

// order returns the addresses with those of dead mirrors last.
func (h *health) order(urls []string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	urls = slices.Clone(urls)
	sort.SliceStable(urls, func(i, j int) bool {
		return h.fails[hostOf(urls[i])] < deadAfter && h.fails[hostOf(urls[j])] >= deadAfter
	})
	return urls
}

func (h *health) good(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.fails, hostOf(address))
}

func (h *health) bad(address string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fails == nil {
		h.fails = map[string]int{}
	}
	h.fails[hostOf(address)]++
}

// rankTimeout is how long Rank waits for a mirror.
const rankTimeout = 3 * time.Second

// Rank orders mirrors by nearness: each is asked for base + probe at once
// (any answer counts), then those that took less than twice the best are
// shuffled and the rest sorted behind; the silent ones come last, in the
// order given. shuffle is rand.Shuffle, or nil for it.
func Rank(ctx context.Context, client *http.Client, bases []string, probe string, shuffle func(int, func(i, j int))) []string {
	if len(bases) < 2 {
		return slices.Clone(bases)
	}
	took := make([]time.Duration, len(bases))
	var asked sync.WaitGroup
	for i, base := range bases {
		asked.Go(func() { took[i] = latency(ctx, client, strings.TrimSuffix(base, "/")+"/"+probe) })
	}
	asked.Wait()
	return rank(bases, took, shuffle)
}

// silent is the latency of a mirror that did not answer.
const silent = time.Duration(1<<63 - 1)

func latency(ctx context.Context, client *http.Client, address string) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, rankTimeout)
	defer cancel()
	r, err := newRequest(ctx, address)
	if err != nil {
		return silent
	}
	r.Method = http.MethodHead
	start := time.Now()
	response, err := client.Do(r)
	if err != nil {
		return silent
	}
	response.Body.Close()
	if response.StatusCode >= 500 {
		return silent
	}
	return time.Since(start)
}

// rank does the ordering of Rank.
func rank(bases []string, took []time.Duration, shuffle func(int, func(i, j int))) []string {
	if shuffle == nil {
		shuffle = rand.Shuffle
	}
	index := make([]int, len(bases))
	for i := range index {
		index[i] = i
	}
	sort.SliceStable(index, func(i, j int) bool { return took[index[i]] < took[index[j]] })
	near := 0
	if best := took[index[0]]; best != silent {
		for near < len(index) && took[index[near]] < max(2*best, best+time.Millisecond) {
			near++
		}
	}
	shuffle(near, func(i, j int) { index[i], index[j] = index[j], index[i] })
	ranked := make([]string, len(bases))
	for i, n := range index {
		ranked[i] = bases[n]
	}
	return ranked
}
