package squashfs

import (
	"context"
	"sync"
)

// budget bounds how many blocks are in memory. The unit that is written out at
// present always gets another, since the others wait for it.
type budget struct {
	mu   sync.Mutex
	cond sync.Cond
	left int
	head int // number of the unit that is being written out
}

func newBudget(blocks int) *budget {
	b := &budget{left: blocks}
	b.cond.L = &b.mu
	return b
}

// take waits until a block may be read for a unit, or ctx ends.
func (b *budget) take(ctx context.Context, unit int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.left <= 0 && unit != b.head && ctx.Err() == nil {
		b.cond.Wait()
	}
	b.left--
	return ctx.Err()
}

// put gives a block back.
func (b *budget) put() {
	b.mu.Lock()
	b.left++
	b.mu.Unlock()
	b.cond.Broadcast()
}

// next says that the unit at the head is written.
func (b *budget) next() {
	b.mu.Lock()
	b.head++
	b.mu.Unlock()
	b.cond.Broadcast()
}
