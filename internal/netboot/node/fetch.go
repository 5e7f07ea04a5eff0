package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"slipway/internal/fleet"
)

// source is where the bytes of an artefact come from: the server, or the
// stick that the machine was started from.
type source interface {
	// piece gives the bytes [at, at+n), as they come.
	piece(ctx context.Context, at, n int64) ([]byte, error)
}

// download is an artefact that is being fetched.
type download struct {
	source source
	chunks *Chunks
	name   string
	done   int64 // of chunks.Data()
	report func(done, total int64)
	again  func(ctx context.Context, what string, tries int, do func() error) error
}

// Tries to fetch one piece: with the pauses between them, minutes.
const pieceTries = 12

// open gets the list of an artefact's pieces.
func (s *server) open(ctx context.Context, name string, a *Artefact) (*download, error) {
	ref, err := s.resolve(a.Chunks)
	if err != nil {
		return nil, err
	}
	address, err := s.resolve(a.URL)
	if err != nil {
		return nil, err
	}
	d := &download{source: &remote{s, address}, name: name, again: s.again, report: func(int64, int64) {}}
	err = s.again(ctx, "fetching the list of "+name, pieceTries, func() error {
		data, err := s.get(ctx, ref, 0, -1, maxChunks)
		if err == nil {
			d.chunks, err = DecodeChunks(data, a.List)
		}
		return err
	})
	if err == nil && d.chunks.Size != a.Size {
		err = fmt.Errorf("%s has %d bytes, and the order says %d", name, d.chunks.Size, a.Size)
	}
	return d, err
}

// errDamaged is a piece that stays wrong however often it is fetched.
var errDamaged = errors.New("its bytes are not those that were signed: the server's file is damaged or was replaced (build the machine again there), or something changes it on the way")

// next fetches a piece until it is right.
func (d *download) next(ctx context.Context, p Piece) (data []byte, err error) {
	err = d.again(ctx, "fetching "+d.name, pieceTries, func() error {
		if data, err = d.source.piece(ctx, p.At, p.N); err != nil {
			return err
		}
		if !p.holds(data) {
			// Once more may help against a bad line; a bad file stays bad.
			if data, err = d.source.piece(ctx, p.At, p.N); err != nil {
				return err
			}
			if !p.holds(data) {
				return &refused{http.StatusConflict, fmt.Sprintf("%s at offset %d: %v", d.name, p.At, errDamaged)}
			}
		}
		return nil
	})
	var no *refused
	if errors.As(err, &no) && no.status == http.StatusConflict {
		return nil, because(fleet.CauseCorrupt, errors.New(no.text))
	}
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", d.name, err)
	}
	d.done += p.N
	d.report(d.done, d.chunks.Data())
	return data, nil
}

// to writes the whole file, holes as zeros that nobody writes.
func (d *download) to(ctx context.Context, w io.WriterAt, truncate func(int64) error) error {
	for _, p := range d.chunks.Pieces {
		data, err := d.next(ctx, p)
		if err != nil {
			return err
		}
		if _, err := w.WriteAt(data, p.At); err != nil {
			return fmt.Errorf("keeping %s: %w", d.name, err)
		}
	}
	return truncate(d.chunks.Size)
}

// remote is a file of the server.
type remote struct {
	server  *server
	address string
}

func (r *remote) piece(ctx context.Context, at, n int64) ([]byte, error) {
	return r.server.get(ctx, r.address, at, n, n)
}

// stall is how long a transfer may bring nothing.
const stall = 30 * time.Second

// get fetches a part of a file (n < 0: all of it), and goes on where the line
// broke.
func (s *server) get(ctx context.Context, address string, at, n, limit int64) ([]byte, error) {
	var out []byte
	for breaks := 0; ; breaks++ {
		before := len(out)
		err := s.once(ctx, address, at, n, limit, &out)
		if err == nil || ctx.Err() != nil || len(out) == before && breaks > 0 || n < 0 {
			return out, err
		}
		var no *refused
		if errors.As(err, &no) {
			return nil, err
		}
	}
}

// once appends what one request brings.
func (s *server) once(ctx context.Context, address string, at, n, limit int64, out *[]byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	have := int64(len(*out))
	if n >= 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", at+have, at+n-1))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case n >= 0 && resp.StatusCode == http.StatusOK && at+have == 0 && resp.ContentLength == n:
	case n >= 0 && resp.StatusCode == http.StatusOK:
		return &refused{http.StatusNotImplemented, "the server does not send parts of files (Range)"}
	case resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent:
		return &refused{resp.StatusCode, address}
	}
	idle := time.AfterFunc(stall, cancel)
	defer idle.Stop()
	buf := make([]byte, 256<<10)
	for {
		got, err := resp.Body.Read(buf)
		idle.Reset(stall)
		*out = append(*out, buf[:got]...)
		switch {
		case int64(len(*out)) > limit:
			return &refused{http.StatusRequestEntityTooLarge, address + " is longer than it should be"}
		case err == io.EOF && (n < 0 || int64(len(*out)) == n):
			return nil
		case err == io.EOF:
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
	}
}
