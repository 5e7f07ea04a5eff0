package http

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/netboot/token"
)

// Server answers raw paths. What is nil is not there: 404.
type Server struct {
	// Boot finds what a name below /b/TOKEN/ means. An error that is
	// fs.ErrNotExist is answered with 404, fs.ErrPermission with 403, a *Later
	// with 503, any other with 500. About of the Content is told even with an
	// error.
	Boot func(context.Context, Call) (Content, error)
	// Node answers below /n/TOKEN/; it finds its Call by CallOf.
	Node http.Handler
	// Pages answers everything else.
	Pages http.Handler

	Artefacts *Artefacts
	Tokens    *token.Book // whose tokens are good; nil: every token is refused
	Admission *Admission  // nil: everybody at once
	Sink      fleet.Sink  // nil: nobody is told

	// Who says what is known of the client at an address that fetches an
	// artefact without a token: Client, Machine, and the Stage that the receipt
	// of all of it is evidence of. Without a digest it asks for something that
	// is not there, or is not let in. Nil: nothing is.
	Who func(from netip.Addr, digest string) fleet.Event

	Connections int           // at once; 8192
	PerClient   int           // from one address; 256
	Stall       time.Duration // how long a client may take nothing; 60 s
	MaxBody     int64         // bytes of a report; 64 MiB

	headers time.Duration // that a request's header may take; 10 s
}

// Call is a request with a good token.
type Call struct {
	Token    string
	Name     string // what follows the token, decoded, without leading slashes; no element is ".."
	Claim    token.Claim
	From     netip.Addr
	Local    netip.Addr // address that was asked
	Identity string     // name in the client's certificate, verified; empty: it showed none
	Request  *http.Request
}

type callKey struct{}

// CallOf finds the Call of a request that Node was given.
func CallOf(r *http.Request) Call {
	c, _ := r.Context().Value(callKey{}).(Call)
	return c
}

// Later is an error that asks the client to come back.
type Later struct{ After time.Duration }

func (l *Later) Error() string { return fmt.Sprintf("not yet, in %s", l.After) }

// Serve answers connections until ctx ends or the listener fails, and then
// waits for nobody: transfers are cut. It closes the listener.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.serve(ctx, l, nil)
}

// ServeTLS is Serve for HTTPS, with the configuration of an Authority.
func (s *Server) ServeTLS(ctx context.Context, l net.Listener, config *tls.Config) error {
	return s.serve(ctx, l, config)
}

type connKey struct{}

func (s *Server) serve(ctx context.Context, l net.Listener, config *tls.Config) error {
	g := newGate(l, or(s.Connections, 8192), or(s.PerClient, 256), s.sink())
	g.who = s.Who
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true) // sendfile and acknowledged bytes are a connection's, not a stream's
	server := &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: or(s.headers, 10*time.Second),
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		Protocols:         protocols,
		ErrorLog:          log.New(io.Discard, "", 0), // clients' faults; what matters is an event
		ConnContext:       func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState:         g.state,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	var err error
	if config != nil {
		server.TLSConfig = config
		err = server.ServeTLS(g, "", "")
	} else {
		err = server.Serve(g)
	}
	if ctx.Err() != nil {
		return nil
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving HTTP on %s: %w", l.Addr(), err)
}

func (s *Server) sink() fleet.Sink {
	if s.Sink == nil {
		return fleet.SinkFunc(func(fleet.Event) {})
	}
	return s.Sink
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
