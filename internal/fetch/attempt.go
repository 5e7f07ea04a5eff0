package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// attempt makes one request for the rest of the item and appends the answer
// to the part. Without an error the part is complete and verified.
func (f *Fetcher) attempt(ctx context.Context, it *Item, url string, p *part, report *reporter) error {
	if done, err := verify(it, p); done || err != nil {
		return err
	}
	header := http.Header{}
	if p.have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", p.have))
	}
	response, cancel, err := f.request(ctx, url, header)
	if err != nil {
		return err
	}
	defer cancel()
	defer response.Body.Close()
	if err := p.accept(response, it, report); err != nil {
		return err
	}
	limit := it.Size
	if limit <= 0 {
		limit = MaxUnknown
	}
	source := &counted{r: response.Body, it: it, report: report}
	// One byte past the limit is enough to know that the file is too long.
	if _, err := io.Copy(p, io.LimitReader(source, limit-p.have+1)); err != nil {
		return stalled(err, response.Request.Context(), f.stall())
	}
	return f.judge(it, p)
}

// accept checks that the answer continues the part; an answer from the start
// empties it.
func (p *part) accept(response *http.Response, it *Item, report *reporter) error {
	switch response.StatusCode {
	case http.StatusPartialContent:
		var start int64
		if _, err := fmt.Sscanf(response.Header.Get("Content-Range"), "bytes %d-", &start); err != nil || start != p.have {
			return fmt.Errorf("the server answered with another range than asked for (%q)", response.Header.Get("Content-Range"))
		}
	case http.StatusOK:
		if p.have > 0 {
			report.advance(it, -p.have)
			if err := p.reset(); err != nil {
				return &localError{err}
			}
		}
	case http.StatusRequestedRangeNotSatisfiable:
		report.advance(it, -p.have)
		if err := p.reset(); err != nil {
			return &localError{err}
		}
		return errRestart
	default:
		return newStatusError(response)
	}
	if n := response.ContentLength; n >= 0 && it.Size > 0 && p.have+n != it.Size {
		return &contentError{fmt.Sprintf("the server offers %d bytes, the index declares %d", p.have+n, it.Size)}
	}
	return nil
}

var errRestart = errors.New("the unfinished file did not fit; starting again")

// verify reports whether the part is already whole, before asking anybody.
// A whole but wrong part is emptied.
func verify(it *Item, p *part) (bool, error) {
	if it.Size <= 0 || p.have != it.Size {
		return false, nil
	}
	if p.digest() == it.digest() {
		return true, nil
	}
	return false, wrapLocal(p.reset())
}

// judge decides after the answer's end.
func (f *Fetcher) judge(it *Item, p *part) error {
	limit := it.Size
	if limit <= 0 {
		limit = MaxUnknown
	}
	switch {
	case p.have > limit:
		return errors.Join(&contentError{fmt.Sprintf("the file is longer than the %d bytes declared", limit)}, wrapLocal(p.reset()))
	case it.Size > 0 && p.have < it.Size:
		return &truncatedError{p.have, it.Size}
	}
	got := p.digest()
	if got == it.digest() {
		return nil
	}
	resumed := p.resumed
	if err := p.reset(); err != nil {
		return wrapLocal(err)
	}
	if resumed { // the old bytes may be the wrong ones
		return errRestart
	}
	return &contentError{fmt.Sprintf("its digest is %s, not %s as declared", got, it.digest())}
}

// request sends one GET and watches the connection: no byte within the stall
// time ends it. The cancel function must be called when the body was read.
func (f *Fetcher) request(ctx context.Context, url string, header http.Header) (*http.Response, func(), error) {
	client, err := f.client()
	if err != nil {
		return nil, nil, &localError{err}
	}
	if f.Offline && !strings.HasPrefix(url, "file:") {
		return nil, nil, errOffline
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watch := newWatch(f.stall(), func() { cancel(errStalled) })
	stop := func() { watch.stop(); cancel(nil) }
	r, err := newRequest(ctx, url)
	if err != nil {
		stop()
		return nil, nil, err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := client.Do(r)
	if err != nil {
		stop()
		return nil, nil, stalled(err, ctx, f.stall())
	}
	response.Request = r // the first one: its context is ours
	response.Body = &watchedBody{response.Body, watch}
	return response, stop, nil
}

var (
	errStalled = errors.New("stalled")
	errOffline = errors.New("not fetched, because offline work was asked for")
)

// stalled names a stall as the reason, where it was one.
func stalled(err error, ctx context.Context, limit time.Duration) error {
	if errors.Is(context.Cause(ctx), errStalled) {
		return &stallError{limit}
	}
	return err
}

// watch runs out when it is not touched for a while.
type watch struct {
	timer *time.Timer
	limit time.Duration
	once  sync.Once
}

func newWatch(limit time.Duration, expire func()) *watch {
	return &watch{timer: time.AfterFunc(limit, expire), limit: limit}
}

func (w *watch) touch() { w.timer.Reset(w.limit) }
func (w *watch) stop()  { w.once.Do(func() { w.timer.Stop() }) }

type watchedBody struct {
	io.ReadCloser
	watch *watch
}

func (b *watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.watch.touch()
	}
	return n, err
}

// counted tells the reporter of each piece.
type counted struct {
	r      io.Reader
	it     *Item
	report *reporter
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.report.advance(c.it, int64(n))
	return n, err
}

func newStatusError(response *http.Response) error {
	e := &statusError{code: response.StatusCode}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.after = time.Duration(seconds) * time.Second
	}
	return e
}
