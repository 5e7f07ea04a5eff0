package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy is returned by GC while another process uses the store.
var ErrBusy = errors.New("another slipway is using the store; try again when it is done")

// GCOptions for GC. The zero value removes only what is broken or unfinished.
type GCOptions struct {
	MaxBytes int64         // keep the newest within this size; 0: no bound
	MaxAge   time.Duration // remove what was not used for so long; 0: no bound
	All      bool          // remove everything that is not pinned
	DryRun   bool          // only report

	// RemoveAll removes a folder that may hold ids that only a worker can
	// handle. nil: os.RemoveAll.
	RemoveAll func(path string) error
	// Now is the time that ages are counted from; zero: the present.
	Now time.Time
}

// Item is one thing in the store that can be removed by itself.
type Item struct {
	Kind    string    `json:"kind"` // layer, tree, tool, image, pack, deb, index, temporary
	Name    string    `json:"name"` // key, digest or file name
	Bytes   int64     `json:"bytes"`
	LastUse time.Time `json:"last_use"`
	Reason  string    `json:"reason"` // why it was removed
}

// Report is what GC did.
type Report struct {
	Removed []Item `json:"removed"`
	Freed   int64  `json:"freed_bytes"` // bytes
	Kept    int64  `json:"kept_bytes"`  // bytes
}

// GC removes what is broken or unfinished, and what the bounds leave no room
// for: the longest unused first, a layer never before those above it, and a
// pack never before the layers that need it. Pinned layers stay, with all they
// need, even beyond the bounds.
//
// It needs the store for itself and returns ErrBusy otherwise. An error does
// not stop it from removing the rest.
func (s *Store) GC(ctx context.Context, opt GCOptions) (Report, error) {
	var r Report
	if err := s.writable("collecting garbage"); err != nil {
		return r, err
	}
	if s.use == nil || flock(s.use, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return r, ErrBusy
	}
	defer flock(s.use, unix.LOCK_SH)
	s.forgetLayers()
	if opt.RemoveAll == nil {
		opt.RemoveAll = os.RemoveAll
	}
	if opt.Now.IsZero() {
		opt.Now = time.Now()
	}
	inv, err := s.takeInventory()
	if err != nil {
		return r, err
	}
	var errs []error
	for _, it := range inv.condemn(opt) {
		if ctx.Err() != nil {
			errs = append(errs, ctx.Err())
			break
		}
		if !opt.DryRun {
			if err := s.removeItem(it, opt.RemoveAll); err != nil {
				errs = append(errs, s.explain("removing the "+it.Kind+" "+it.Name, err))
				continue
			}
		}
		if it.Kind != "lock" { // left from an earlier use, and nothing that was kept
			r.Removed, r.Freed = append(r.Removed, it), r.Freed+it.Bytes
		}
	}
	r.Kept = inv.total() - r.Freed
	return r, errors.Join(errs...)
}

func (s *Store) forgetLayers() {
	s.layerMu.Lock()
	defer s.layerMu.Unlock()
	for _, l := range s.layers {
		l.close()
	}
	s.layers = make(map[string]*Layer)
}

// condemn chooses what must go, in the order in which it goes.
func (inv *inventory) condemn(opt GCOptions) []Item {
	var out, rest []Item
	for _, it := range inv.items {
		switch {
		case it.broken != "":
			it.Item.Reason = it.broken
			out = append(out, it.Item)
		case !it.pinned:
			rest = append(rest, it.Item)
		}
	}
	slices.SortStableFunc(rest, func(a, b Item) int {
		return cmp.Or(a.LastUse.Compare(b.LastUse), cmp.Compare(inv.rank(b), inv.rank(a)), cmp.Compare(a.Name, b.Name))
	})
	left := inv.total()
	for _, it := range out {
		left -= it.Bytes
	}
	for _, it := range rest {
		switch {
		case opt.All:
			it.Reason = "not pinned"
		case opt.MaxAge > 0 && opt.Now.Sub(it.LastUse) > opt.MaxAge:
			it.Reason = fmt.Sprintf("not used since %s", it.LastUse.UTC().Format(time.DateOnly))
		case opt.MaxBytes > 0 && left > opt.MaxBytes:
			it.Reason = "the store is larger than its bound"
		default:
			continue
		}
		out, left = append(out, it), left-it.Bytes
	}
	return out
}

// rank orders things used at the same time: what others need goes last.
func (inv *inventory) rank(it Item) int {
	if it.Kind == "layer" {
		return 1 + inv.depth[it.Name]
	}
	return 0
}

func (s *Store) removeItem(it Item, removeAll func(string) error) error {
	switch it.Kind {
	case "layer": // out of sight at once, then piece by piece
		dead, err := s.discard(s.path("layers", it.Name))
		if err == nil && dead != "" {
			err = os.RemoveAll(dead)
		}
		if err != nil {
			return err
		}
		return removeTree(s.path("trees", it.Name), removeAll)
	case "tree":
		return removeTree(s.path("trees", it.Name), removeAll)
	case "temporary":
		return removeTree(s.path("tmp", it.Name), removeAll)
	case "tool":
		return s.DropToolTree(it.Name)
	case "image":
		return s.DropImage(it.Name)
	case "pack":
		return ignoreNotExist(os.Remove(s.PackPath(it.Name)))
	case "lock":
		return ignoreNotExist(os.Remove(s.path("locks", it.Name)))
	}
	return ignoreNotExist(os.Remove(s.ObjectPath(it.Kind, it.Name)))
}

func removeTree(name string, removeAll func(string) error) error {
	st, err := os.Lstat(name)
	switch {
	case err != nil:
		return ignoreNotExist(err)
	case !st.IsDir():
		return os.Remove(name)
	}
	return removeAll(name)
}
