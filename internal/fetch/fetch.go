// Package fetch downloads files whose size and SHA-256 are known: in
// parallel, resumed, retried with back-off, from the first of several
// addresses that works, and verified while the bytes stream in. A file
// appears under its name only once it is right.
//
// It also gets small documents whose truth is judged otherwise (signed
// release files), see Get. It is not a cache and it knows nothing of
// packages. Addresses are http, https and file.
//
//	client, err := fetch.NewClient(fetch.Transport{})
//	err = (&fetch.Fetcher{Client: client}).Fetch(ctx, items)
package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Item is one file to fetch.
type Item struct {
	Name   string   // for people; default: the last element of Dest
	URLs   []string // the same bytes everywhere, in order of preference
	Size   int64    // bytes; 0 or less: not known, then at most MaxUnknown
	SHA256 string   // hex; required, unless
	SHA512 string   // is given (hex): what some archives declare instead
	Dest   string   // path the file gets; it is replaced if it is wrong
}

// digest is what the file's hash must be, in lower-case hex.
func (it *Item) digest() string {
	if it.SHA256 == "" {
		return strings.ToLower(it.SHA512)
	}
	return strings.ToLower(it.SHA256)
}

// newHash makes the hash that digest is of.
func (it *Item) newHash() hash.Hash {
	if it.SHA256 == "" && it.SHA512 != "" {
		return sha512.New()
	}
	return sha256.New()
}

// MaxUnknown bounds, in bytes, a file whose size was not declared.
const MaxUnknown = 4 << 30

// Defaults of a Fetcher's zero fields.
const (
	DefaultParallel = 8
	DefaultTries    = 5
	DefaultStall    = 30 * time.Second
	DefaultBackOff  = 500 * time.Millisecond
	maxBackOff      = 15 * time.Second
)

// Fetcher downloads. The zero value works; it must not be copied after use
// and its fields must not change during a call. Its methods may be called by
// several goroutines.
type Fetcher struct {
	Client   *http.Client  // from NewClient; nil: one for the zero Transport
	Parallel int           // files at a time
	Tries    int           // attempts without progress before giving up on temporary faults
	Stall    time.Duration // silence after which a connection is given up
	BackOff  time.Duration // first pause; doubles each time, with jitter
	PartDir  string        // where unfinished files lie; default: beside Dest
	Offline  bool          // refuse every address but file:
	Sync     bool          // fsync each file before it gets its name

	// Progress receives events one at a time. It must return soon.
	Progress func(Event)
	// Verified is called when items[i] lies complete and verified at its
	// Dest, from several goroutines; an error stops the whole Fetch.
	Verified func(i int) error

	health health
}

// Clone returns a Fetcher with the same settings, for a call that needs some
// of them otherwise.
func (f *Fetcher) Clone() *Fetcher {
	return &Fetcher{Client: f.Client, Parallel: f.Parallel, Tries: f.Tries, Stall: f.Stall, BackOff: f.BackOff,
		PartDir: f.PartDir, Offline: f.Offline, Sync: f.Sync, Progress: f.Progress, Verified: f.Verified}
}

func (f *Fetcher) parallel() int {
	if f.Parallel > 0 {
		return f.Parallel
	}
	return DefaultParallel
}

func (f *Fetcher) tries() int {
	if f.Tries > 0 {
		return f.Tries
	}
	return DefaultTries
}

func (f *Fetcher) stall() time.Duration {
	if f.Stall > 0 {
		return f.Stall
	}
	return DefaultStall
}

// defaultClient serves Fetchers without one.
var defaultClient, defaultClientErr = NewClient(Transport{})

func (f *Fetcher) client() (*http.Client, error) {
	if f.Client != nil {
		return f.Client, nil
	}
	return defaultClient, defaultClientErr
}

// Fetch gets all items, or stops at the first that cannot be had. A file
// that is already at its Dest with the right size is hashed and kept. The
// error is an *Error for a download that failed.
func (f *Fetcher) Fetch(ctx context.Context, items []Item) error {
	if err := validate(items); err != nil {
		return err
	}
	report := newReporter(f.Progress, items)
	defer report.close()
	group, shared := errgroup.WithContext(ctx)
	group.SetLimit(f.parallel())
	for i := range items {
		if shared.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := f.item(shared, &items[i], report); err != nil {
				return err
			}
			if f.Verified != nil {
				return f.Verified(i)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func validate(items []Item) error {
	for i := range items {
		it := &items[i]
		if it.Name == "" {
			it.Name = filepath.Base(it.Dest)
		}
		raw, err := hex.DecodeString(it.digest())
		switch {
		case err != nil || len(raw) != it.newHash().Size():
			return fmt.Errorf("fetching %s: %q is not a SHA-256 digest; nothing is fetched without one", it.Name, it.digest())
		case it.Dest == "":
			return fmt.Errorf("fetching %s: no destination", it.Name)
		case len(it.URLs) == 0:
			return fmt.Errorf("fetching %s: no address to fetch it from", it.Name)
		}
	}
	return nil
}

// item gets one file: from the store's own hands if it is there already,
// else by rounds over its addresses.
func (f *Fetcher) item(ctx context.Context, it *Item, report *reporter) (err error) {
	defer func() {
		if err != nil && ctx.Err() == nil {
			report.event(Failed, it, err)
		}
	}()
	if ok, err := present(it); err != nil || ok {
		if ok {
			report.advance(it, it.Size)
			report.event(Done, it, nil)
		}
		return err
	}
	part, err := f.openPart(ctx, it)
	if err != nil {
		return &Error{Name: it.Name, Err: err}
	}
	if part == nil { // another process completed it meanwhile
		report.event(Done, it, nil)
		return nil
	}
	defer part.close()
	report.advance(it, part.have)
	report.event(Started, it, nil)
	if err := f.rounds(ctx, it, part, report); err != nil {
		return err
	}
	if err := part.publish(it.Dest, f.Sync); err != nil {
		return &Error{Name: it.Name, Err: err}
	}
	report.event(Done, it, nil)
	return nil
}

// rounds tries each address in turn until one delivers. Addresses that fail
// for good drop out; temporary faults are tried again after a pause.
func (f *Fetcher) rounds(ctx context.Context, it *Item, part *part, report *reporter) error {
	urls := f.health.order(it.URLs)
	failure := &Error{Name: it.Name}
	for try := 0; ; {
		var left []string
		for _, u := range urls {
			before := part.have
			err := f.attempt(ctx, it, u, part, report)
			if err == nil {
				f.health.good(u)
				return nil
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			failure.add(u, err)
			if local(err) {
				return failure
			}
			if temporary(err) {
				f.health.bad(u)
				left = append(left, u)
			}
			if part.have-before >= progressWorthATry {
				try = 0
			}
		}
		try++
		if urls = left; len(urls) == 0 || try >= f.tries() {
			return failure
		}
		report.event(Retrying, it, failure.last())
		if err := f.pause(ctx, try, failure.last()); err != nil {
			return err
		}
	}
}

// progressWorthATry is how many bytes an attempt must bring for its failure
// not to count: a mirror that dies every megabyte still delivers in the end.
const progressWorthATry = 64 << 10

// pause sleeps for the back-off of the given try: doubled each time, between
// half and the whole of it, or what the server asked for.
func (f *Fetcher) pause(ctx context.Context, try int, cause error) error {
	first := f.BackOff
	if first <= 0 {
		first = DefaultBackOff
	}
	d := min(first<<min(try-1, 10), maxBackOff)
	d = d/2 + rand.N(d/2+1)
	var status *statusError
	if errors.As(cause, &status) && status.after > 0 {
		d = min(status.after, maxBackOff)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// present reports whether the item's file is there and right. A wrong one is
// left for publish to replace.
func present(it *Item) (bool, error) {
	st, err := os.Stat(it.Dest)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, &Error{Name: it.Name, Err: err}
	}
	if it.Size > 0 && st.Size() != it.Size {
		return false, nil
	}
	digest, err := hashFile(it.Dest, it.newHash())
	if err != nil {
		return false, &Error{Name: it.Name, Err: err}
	}
	return digest == it.digest(), nil
}
