package fetch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
)

// maxGrown is how much memory is taken at the word of a server.
const maxGrown = 16 << 20

// Condition is what an earlier answer said of itself; with it a server may
// answer that nothing has changed.
type Condition struct {
	ETag         string
	LastModified string
}

// Document is a small file got with Get.
type Document struct {
	URL       string // the address that delivered, as it was given
	Body      []byte
	Unchanged bool // the condition holds; Body is nil
	Condition      // for the next time
}

// Get reads a document of at most limit bytes from the first address that
// has it. Nothing vouches for its content: the caller verifies a signature.
// The error is an *Error; NotFound and Unreachable tell apart its causes.
// The condition must stem from an answer of the only address given.
func (f *Fetcher) Get(ctx context.Context, name string, urls []string, limit int64, condition Condition) (*Document, error) {
	failure := &Error{Name: name}
	for try := 0; ; {
		var left []string
		for _, u := range f.health.order(urls) {
			document, err := f.getOnce(ctx, u, limit, condition)
			if err == nil {
				f.health.good(u)
				return document, nil
			}
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			failure.add(u, err)
			if temporary(err) {
				f.health.bad(u)
				left = append(left, u)
			}
		}
		try++
		if urls = left; len(urls) == 0 || try >= f.tries() {
			return nil, failure
		}
		if err := f.pause(ctx, try, failure.last()); err != nil {
			return nil, err
		}
	}
}

func (f *Fetcher) getOnce(ctx context.Context, url string, limit int64, condition Condition) (*Document, error) {
	header := http.Header{}
	if condition.ETag != "" {
		header.Set("If-None-Match", condition.ETag)
	}
	if condition.LastModified != "" {
		header.Set("If-Modified-Since", condition.LastModified)
	}
	response, cancel, err := f.request(ctx, url, header)
	if err != nil {
		return nil, err
	}
	defer cancel()
	defer response.Body.Close()
	document := &Document{URL: url, Condition: Condition{response.Header.Get("ETag"), response.Header.Get("Last-Modified")}}
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotModified:
		document.Unchanged, document.Condition = true, condition
		return document, nil
	default:
		return nil, newStatusError(response)
	}
	var body bytes.Buffer
	body.Grow(int(min(max(response.ContentLength, 0), limit, maxGrown)) + bytes.MinRead)
	_, err = body.ReadFrom(io.LimitReader(response.Body, limit+1))
	document.Body = body.Bytes()
	if err != nil {
		return nil, stalled(err, response.Request.Context(), f.stall())
	}
	if int64(len(document.Body)) > limit {
		return nil, &contentError{fmt.Sprintf("the document is longer than %d bytes", limit)}
	}
	return document, nil
}
