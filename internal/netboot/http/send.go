package http

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/netboot/token"
)

// Send answers a request with content, or the part that it asks for, and tells
// how that went. It closes the content.
func (s *Server) Send(w http.ResponseWriter, r *http.Request, c Content) {
	defer c.Close()
	if c.receipt != nil {
		defer c.receipt.Returned()
	}
	if !reads(r) {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "slipway: this can only be read", http.StatusMethodNotAllowed)
		return
	}
	body, size, err := c.body()
	if err != nil {
		s.answer(w, r, Content{About: c.About}, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", c.mediaType(r.URL.Path))
	switch {
	case c.Secret:
		h.Set("Cache-Control", "no-store")
	case c.Immutable:
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	default:
		h.Set("Cache-Control", "no-cache")
	}
	if c.ETag != "" {
		h.Set("ETag", c.ETag)
	}
	if part := r.Header.Get("Range"); strings.Contains(part, ",") || !strings.HasPrefix(part, "bytes=") {
		r.Header.Del("Range") // several parts, or a unit that we do not know: RFC 9110, 14.2 has the whole sent
	}
	if r.Method == http.MethodHead {
		http.ServeContent(w, r, "", time.Time{}, body)
		s.started(r, c, size)
		return
	}
	p := s.begin(w, r, &c, size)
	if p == nil {
		return
	}
	defer p.leave()
	http.ServeContent(p, r, "", time.Time{}, body)
	p.finish()
}

// passage is one answer on its way. As the ResponseWriter that ServeContent
// writes to, it passes the file on in pieces, so that sendfile is used, a
// client that takes nothing is noticed, and progress can be told.
type passage struct {
	http.ResponseWriter
	s       *Server
	r       *http.Request
	c       *Content
	control *http.ResponseController
	conn    net.Conn
	place   *place // in the queue of Admission; nil: needs none

	size   int64 // of the whole
	length int64 // of this answer
	first  int64 // where it begins
	status int
	sent   int64
	piece  int64
	err    error
	began  time.Time
	told   time.Time
}

// Pieces are such that one takes about half a second.
const (
	minPiece = 64 << 10
	maxPiece = 8 << 20
)

// begin finds a place for the transfer; without one it answers 503.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, c *Content, size int64) *passage {
	now := time.Now()
	p := &passage{
		ResponseWriter: w, s: s, r: r, c: c, size: size, length: size, piece: 512 << 10, began: now, told: now,
		control: http.NewResponseController(w),
	}
	p.conn, _ = r.Context().Value(connKey{}).(net.Conn)
	from, local := ends(r)
	place, wait := s.Admission.enter(local, from, size, patient(r))
	if place == nil && wait > 0 {
		s.later(w, r, c.About, wait, fmt.Sprintf("others are being served, it is asked to come back in %s", wait))
		return nil
	}
	p.place = place
	s.started(r, *c, size)
	return p
}

func (p *passage) leave() { p.place.leave() }

// WriteHeader learns what the answer is.
func (p *passage) WriteHeader(status int) {
	p.status = status
	p.length = 0
	if status == http.StatusOK || status == http.StatusPartialContent {
		p.length, _ = strconv.ParseInt(p.Header().Get("Content-Length"), 10, 64)
	}
	if part, ok := strings.CutPrefix(p.Header().Get("Content-Range"), "bytes "); ok {
		from, _, _ := strings.Cut(part, "-")
		p.first, _ = strconv.ParseInt(from, 10, 64)
	}
	p.ResponseWriter.WriteHeader(status)
}

// ReadFrom sends what ServeContent copies.
func (p *passage) ReadFrom(src io.Reader) (n int64, err error) {
	whole, ok := src.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{p.ResponseWriter}, src)
	}
	for whole.N > 0 && err == nil {
		piece := &io.LimitedReader{R: whole.R, N: min(p.piece, whole.N)}
		began := time.Now()
		// Not every kind of connection has deadlines.
		_ = p.control.SetWriteDeadline(began.Add(or(p.s.Stall, time.Minute)))
		var m int64
		m, err = io.Copy(p.ResponseWriter, piece)
		n, p.sent, whole.N = n+m, p.sent+m, whole.N-m
		p.place.sent(m)
		if m == 0 && err == nil {
			err = io.ErrUnexpectedEOF // the file became shorter
		}
		p.adapt(m, time.Since(began))
		p.progress()
	}
	p.err = err
	return n, err
}

func (p *passage) adapt(sent int64, took time.Duration) {
	switch {
	case took < 100*time.Millisecond && p.piece < maxPiece:
		p.piece *= 2
	case took > time.Second && p.piece > minPiece:
		p.piece /= 2
	}
}

// finish waits until the client has acknowledged everything and tells the end.
func (p *passage) finish() {
	if p.err == nil && p.sent == p.length {
		p.err = p.control.Flush()
	}
	if p.err == nil && p.sent == p.length && p.length > 0 {
		p.err = acknowledged(p.r.Context(), p.conn, or(p.s.Stall, time.Minute))
	}
	_ = p.control.SetWriteDeadline(time.Time{})
	whole := p.status == http.StatusOK && p.sent == p.size
	if p.err == nil && whole && p.c.receipt != nil {
		// The client has it; a store that fails must not have it twice.
		if err := p.c.receipt.Given(context.WithoutCancel(p.r.Context())); err != nil {
			p.s.tell(p.r, p.c.About, fleet.KindHTTPRefused, err.Error(), p.status)
		}
	}
	p.ended(whole)
}

func (p *passage) ended(whole bool) {
	e := p.s.event(p.r, p.c.About, fleet.KindHTTPDone, "")
	name, took := e.Fields[fleet.FieldFile], time.Since(p.began).Round(time.Millisecond)
	e.Bytes, e.Total = p.first+p.sent, p.size
	e.Fields[fleet.FieldStatus] = strconv.Itoa(p.status)
	e.Fields["took"] = took.String()
	switch {
	case p.err != nil || p.sent != p.length:
		why := "the client left"
		if p.err != nil && p.r.Context().Err() == nil {
			why = p.err.Error()
		}
		e.Kind, e.Problem = fleet.KindHTTPAbort, fmt.Sprintf("%s: %s after %d of %d bytes", name, why, p.sent, p.length)
	case whole:
		e.Stage, e.Text = p.c.About.Stage, fmt.Sprintf("has all of %s, %d bytes in %s", name, p.size, took)
	case p.status == http.StatusPartialContent:
		e.Text = fmt.Sprintf("has %d bytes of %s, from byte %d", p.sent, name, p.first)
	default:
		e.Text = fmt.Sprintf("was answered %d for %s", p.status, name)
	}
	p.s.sink().Record(e)
}

func (p *passage) progress() {
	now := time.Now()
	if now.Sub(p.told) < time.Second || p.sent == p.length {
		return
	}
	p.told = now
	e := p.s.event(p.r, p.c.About, fleet.KindHTTPProgress, "")
	e.Bytes, e.Total = p.first+p.sent-int64(unacknowledged(p.conn)), p.size
	p.s.sink().Record(e)
}

func (s *Server) started(r *http.Request, c Content, size int64) {
	e := s.event(r, c.About, fleet.KindHTTPStart, "")
	e.Total = size
	e.Text = fmt.Sprintf("asks for %s by HTTP", e.Fields[fleet.FieldFile])
	if r.Method == http.MethodHead {
		e.Text = fmt.Sprintf("asks how long %s is", e.Fields[fleet.FieldFile])
	}
	if c.Name != "" {
		e.Fields[fleet.FieldFile] = c.Name
	}
	s.sink().Record(e)
}

func (s *Server) tell(r *http.Request, about fleet.Event, kind, problem string, status int) {
	if from, _ := ends(r); about.Client == "" && about.Machine == "" && s.Who != nil {
		known := s.Who(from, "")
		about.Client, about.Machine = known.Client, known.Machine
	}
	e := s.event(r, about, kind, problem)
	e.Fields[fleet.FieldStatus] = strconv.Itoa(status)
	s.sink().Record(e)
}

// event is what all events of a request have in common. The token is a secret
// and does not stand in it.
func (s *Server) event(r *http.Request, about fleet.Event, kind, problem string) fleet.Event {
	e := about
	e.Time, e.Kind, e.Problem, e.Stage = time.Now(), kind, problem, ""
	from, _ := ends(r)
	e.Address = from.String()
	e.Fields = maps.Clone(e.Fields)
	if e.Fields == nil {
		e.Fields = map[string]string{}
	}
	url := shown(r.RequestURI)
	e.Fields[fleet.FieldURL], e.Fields["method"] = url, r.Method
	if e.Fields[fleet.FieldFile] == "" {
		_, name, _ := strings.Cut(strings.TrimLeft(url, "/"), "/")
		e.Fields[fleet.FieldFile] = strings.TrimPrefix(name, "…/")
	}
	if agent := r.UserAgent(); agent != "" {
		e.Fields["agent"] = clip(agent, 128)
	}
	return e
}

// shown is a request's path as it may be shown: without what looks like a token.
func shown(uri string) string {
	name, ok := rawName(uri)
	if !ok {
		name, _, _ = strings.Cut(strings.TrimLeft(uri, "/"), "?")
	}
	parts := strings.Split(name, "/")
	for i, part := range parts {
		if token.Looks(part) {
			parts[i] = "…"
		}
	}
	return clip("/"+strings.Join(parts, "/"), 256)
}

func clip(s string, n int) string {
	if len(s) > n {
		s = s[:n] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
