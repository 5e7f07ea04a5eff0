package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Nodes change with every packet; they are written that often at most, since
// all that is lost when the process dies is how far a boot was.
const nodeEvery = time.Second

// commit makes durable what was recorded: one batch is gathered while the one
// before is written.
func (f *Fleet) commit() {
	defer close(f.done)
	tick := time.NewTicker(nodeEvery)
	defer tick.Stop()
	for {
		select {
		case <-f.stop:
			f.keep(errors.Join(f.writeEvents(), f.writeNodes()))
			return
		case <-f.wake:
			f.keep(f.writeEvents())
		case <-tick.C:
			f.keep(errors.Join(f.writeEvents(), f.writeNodes()))
		case reply := <-f.flushing:
			err := errors.Join(f.writeEvents(), f.writeNodes())
			f.keep(err)
			reply <- err
		}
	}
}

func (f *Fleet) keep(err error) {
	f.mu.Lock()
	f.failed = err
	f.mu.Unlock()
}

// Err says why what was recorded last is not durable: the disk is full, for
// example. The Fleet goes on and writes it later.
func (f *Fleet) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Flush waits until all that was recorded so far is durable.
func (f *Fleet) Flush(ctx context.Context) error {
	reply := make(chan error, 1)
	select {
	case f.flushing <- reply:
		return <-reply
	case <-f.done:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes everything and closes the store.
func (f *Fleet) Close() error {
	f.mu.Lock()
	if f.stopped {
		f.mu.Unlock()
		return nil
	}
	f.stopped = true
	f.mu.Unlock()
	close(f.stop)
	<-f.done
	f.mu.Lock()
	err := f.failed
	f.mu.Unlock()
	f.hub.Close()
	return errors.Join(err, f.store.Close())
}

func (f *Fleet) writeEvents() error {
	f.mu.Lock()
	batch, lost := f.queue, f.lost
	f.queue, f.lost = nil, 0
	f.mu.Unlock()
	if lost > 0 {
		text := fmt.Sprintf("%d events were not kept: they came faster than the disk takes them", lost)
		batch = append(batch, Event{Time: f.now(), Kind: "server.lost", Text: text, Problem: text})
	}
	if len(batch) == 0 {
		return nil
	}
	err := f.store.Append(context.Background(), batch...)
	if err != nil {
		f.mu.Lock()
		if room := maxQueue - len(f.queue); room < len(batch) {
			f.lost += len(batch) - max(room, 0)
			batch = batch[len(batch)-max(room, 0):]
		}
		f.queue = append(batch, f.queue...)
		f.mu.Unlock()
		return fmt.Errorf("writing events: %w", err)
	}
	return nil
}

func (f *Fleet) writeNodes() error {
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	var writes []Write
	for id := range f.dirty {
		w := Write{Table: tableNodes, Key: id, Rev: Any}
		if n := f.nodes[id]; n != nil {
			value, err := json.Marshal(n)
			if err != nil {
				continue
			}
			w.Value = value
		}
		writes = append(writes, w)
	}
	for name := range f.oldRuns {
		if value, err := json.Marshal(f.history[name]); err == nil {
			writes = append(writes, Write{tableHistory, name, value, Any})
		}
	}
	clear(f.dirty)
	clear(f.oldRuns)
	f.mu.Unlock()
	for len(writes) > 0 {
		n := min(len(writes), 500)
		if _, err := f.store.Write(context.Background(), writes[:n]...); err != nil {
			f.mu.Lock()
			for _, w := range writes {
				if w.Table == tableNodes {
					f.dirty[w.Key] = true
				} else {
					f.oldRuns[w.Key] = true
				}
			}
			f.mu.Unlock()
			return fmt.Errorf("writing the machines: %w", err)
		}
		writes = writes[n:]
	}
	return nil
}
