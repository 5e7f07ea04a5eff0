package netboot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/fleet/logs"
	"slipway/internal/netboot/dhcp"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/tftp"
	"slipway/internal/netboot/token"
)

// Server is one boot server. Its fields are set before Serve and not changed.
type Server struct {
	Roster func() *Roster
	Images Images
	Fleet  *fleet.Fleet
	// Loaders are iPXE's binaries: name as in package ipxe, and file.
	Loaders map[string]string

	// DHCP answers as these fields say; its Policy and Events are the Server's.
	// nil: no DHCP (machines are led here by another server, or a stick).
	DHCP *dhcp.Server
	TFTP net.PacketConn // nil: no TFTP
	HTTP net.Listener
	// HTTPS has all that HTTP has, with certificates of Authority. nil: no HTTPS.
	HTTPS     net.Listener
	Authority *boothttp.Authority
	// Certified gives what is secret only to who shows its machine's certificate
	// of Authority; sticks have a secret of their own and are not asked for it.
	Certified bool
	// Advertise is our address as clients see it, where it is not the one that
	// DHCP was asked on.
	Advertise netip.Addr

	// Logs takes what installers post of their logs; SyslogPort is where they
	// send them meanwhile, 0: nowhere.
	Logs       *logs.Receiver
	SyslogPort int

	Node  http.Handler // below /n/TOKEN/; nil: nothing is there
	Pages http.Handler // everything that is no boot file; nil: nothing
	// Sink hears every event too, at once; nil: nobody does.
	Sink fleet.Sink
	Now  func() time.Time // default time.Now

	Artefacts boothttp.Artefacts
	Admission *boothttp.Admission

	tokens   *token.Book
	policy   *policy
	httpPort int
	mu       sync.Mutex
	systems  map[string]*held     // by version
	recent   map[string][]string  // by client: digests that it was told of
	tells    map[string]telling   // by token of a boot
	sent     map[string]time.Time // when machines were sent to their disks
	ready    chan struct{}
	once     sync.Once
}

func (s *Server) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

func (s *Server) roster() *Roster { return s.Roster() }

// Tokens are those of the machines that boot, for handlers of Node.
func (s *Server) Tokens() *token.Book { return s.tokens }

// Base is our address as a client at own's network sees it.
func (s *Server) Base(own netip.Addr) string { return s.base(own) }

// Record takes an event in: the fleet remembers it, the DHCP server learns
// from it, and whoever listens hears it.
func (s *Server) Record(e fleet.Event) {
	if e.Time.IsZero() {
		e.Time = s.now()
	}
	if s.DHCP != nil && e.Stage == fleet.StageLoader && (e.Kind == fleet.KindTFTPDone || e.Kind == fleet.KindHTTPDone) {
		s.DHCP.Loaded(e.Client)
	}
	s.Fleet.Record(e)
	if s.Sink != nil {
		s.Sink.Record(e)
	}
}

// speaker is the machine that spoke last from an address, for events of what
// was asked without a token: a hint, which opens nothing.
func (s *Server) speaker(from netip.Addr) (about fleet.Event) {
	about.Address = from.String()
	if n, ok := s.Fleet.At(about.Address); ok {
		about.Machine = n.Name
		if len(n.Clients) > 0 {
			about.Client = n.Clients[0]
		}
	}
	return about
}

// Ready is closed when everything answers.
func (s *Server) Ready() <-chan struct{} {
	s.once.Do(func() { s.ready = make(chan struct{}) })
	return s.ready
}

// Open readies the tokens, which outlive a restart. Serve calls it.
func (s *Server) Open(ctx context.Context) error {
	if s.tokens != nil {
		return nil
	}
	book, err := token.Open(ctx, token.InStore(s.Fleet.Store()))
	if err != nil {
		return err
	}
	book.Sink = s
	s.tokens = book
	return nil
}

// Serve answers until ctx ends or one of the servers fails. Listeners are
// closed at its end.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Open(ctx); err != nil {
		return err
	}
	defer s.Artefacts.Close()
	s.systems, s.recent, s.tells = map[string]*held{}, map[string][]string{}, map[string]telling{}
	s.policy = &policy{s: s}
	if a, ok := s.HTTP.Addr().(*net.TCPAddr); ok {
		s.httpPort = a.Port
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	errs := make(chan error, 5)
	run := func(serve func(context.Context) error) {
		all.Go(func() {
			errs <- serve(ctx)
			cancel() // one that ends takes the others with it
		})
	}
	web := &boothttp.Server{
		Boot: s.content, Node: http.HandlerFunc(s.fromMachines), Pages: s.pages(), Artefacts: &s.Artefacts, Tokens: s.tokens, Admission: s.Admission, Sink: s,
		Who: func(from netip.Addr, _ string) fleet.Event { return s.speaker(from) },
	}
	run(func(ctx context.Context) error { return web.Serve(ctx, s.HTTP) })
	if s.HTTPS != nil {
		run(func(ctx context.Context) error { return web.ServeTLS(ctx, s.HTTPS, s.Authority.Config()) })
	}
	run(s.tokens.Run)
	if s.TFTP != nil {
		t := &tftp.Server{Open: s.openTFTP, Sink: s}
		run(func(ctx context.Context) error { return t.Serve(ctx, s.TFTP) })
	}
	if s.DHCP != nil {
		s.DHCP.Policy, s.DHCP.Events = s.policy, s
		run(s.DHCP.Serve)
	}
	s.announce(ctx)
	all.Wait()
	close(errs)
	var err error
	for e := range errs {
		if !errors.Is(e, context.Canceled) {
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		return fmt.Errorf("boot server: %w", err)
	}
	return nil
}

// announce tells that everything answers, as soon as it does.
func (s *Server) announce(ctx context.Context) {
	s.Ready()
	if s.DHCP == nil {
		close(s.ready)
		return
	}
	go func() {
		select {
		case <-s.DHCP.Ready():
			close(s.ready)
		case <-ctx.Done():
		}
	}()
}
