package wire

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrClosed means that the connection or the stream is over.
var ErrClosed = errors.New("wire: connection is closed")

// Session is one end of a connection. It is safe for parallel use.
type Session struct {
	rw      io.ReadWriteCloser
	server  bool
	handler func(*Stream)
	onEvent func(Event)

	wmu sync.Mutex

	mu      sync.Mutex
	streams map[uint32]*Stream
	next    uint32
	err     error
	done    chan struct{}
}

// Client starts the end that opens streams. Events of the peer are handed to
// onEvent (may be nil), one at a time, in the reading goroutine: it must not
// wait for the session.
func Client(rw io.ReadWriteCloser, onEvent func(Event)) *Session {
	s := newSession(rw)
	s.onEvent = onEvent
	go s.read()
	return s
}

// Server starts the end that answers: handler runs in a goroutine of its own
// for every stream and must end it with Stream.Finish.
func Server(rw io.ReadWriteCloser, handler func(*Stream)) *Session {
	s := newSession(rw)
	s.server, s.handler = true, handler
	go s.read()
	return s
}

func newSession(rw io.ReadWriteCloser) *Session {
	return &Session{rw: rw, streams: map[uint32]*Stream{}, done: make(chan struct{})}
}

// Done is closed when the connection has ended, for whatever reason.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err says why the connection ended; nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close ends the connection and all its streams.
func (s *Session) Close() error {
	s.fail(ErrClosed)
	return nil
}

// Open starts a stream.
func (s *Session) Open(req Request) (*Stream, error) {
	payload, err := json.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encoding a request: %w", err)
	}
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return nil, s.err
	}
	if len(s.streams) >= MaxStreams {
		s.mu.Unlock()
		return nil, fmt.Errorf("wire: %d streams are open, no more are possible", MaxStreams)
	}
	s.next++
	st := newStream(s, s.next)
	s.streams[st.id] = st
	s.mu.Unlock()
	return st, s.send(Frame{Kind: KindOpen, Stream: st.id, Payload: payload})
}

// Emit sends an event to the client.
func (s *Session) Emit(e Event) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("encoding an event: %w", err)
	}
	return s.send(Frame{Kind: KindEvent, Payload: payload})
}

func (s *Session) send(f Frame) error {
	s.wmu.Lock()
	err := WriteFrame(s.rw, f)
	s.wmu.Unlock()
	if err != nil {
		s.fail(err)
	}
	return err
}

func (s *Session) read() {
	r := bufio.NewReaderSize(s.rw, 64<<10)
	for {
		f, err := ReadFrame(r)
		if err == nil {
			err = s.dispatch(f)
		}
		if err != nil {
			s.fail(err)
			return
		}
	}
}

func (s *Session) dispatch(f Frame) error {
	switch f.Kind {
	case KindEvent:
		return s.event(f)
	case KindOpen:
		return s.opened(f)
	case KindConfig:
		return errors.New("wire: configuration in the middle of a session")
	}
	s.mu.Lock()
	st := s.streams[f.Stream]
	s.mu.Unlock()
	if st == nil { // ended on our side; the peer does not know yet
		return nil
	}
	return st.receive(f)
}

func (s *Session) event(f Frame) error {
	if s.server {
		return errors.New("wire: event from a client")
	}
	var e Event
	if err := json.Unmarshal(f.Payload, &e); err != nil {
		return fmt.Errorf("decoding an event: %w", err)
	}
	if s.onEvent != nil {
		s.onEvent(e)
	}
	return nil
}

func (s *Session) opened(f Frame) error {
	if !s.server {
		return errors.New("wire: stream opened by a server")
	}
	st := newStream(s, f.Stream)
	if err := json.Unmarshal(f.Payload, &st.Request); err != nil {
		return fmt.Errorf("decoding a request: %w", err)
	}
	s.mu.Lock()
	_, twice := s.streams[f.Stream]
	full := len(s.streams) >= MaxStreams
	if !twice && !full && s.err == nil {
		s.streams[f.Stream] = st
	}
	s.mu.Unlock()
	if twice || full {
		return fmt.Errorf("wire: stream %d opened twice, or more than %d streams", f.Stream, MaxStreams)
	}
	go s.handler(st)
	return nil
}

func (s *Session) forget(id uint32) {
	s.mu.Lock()
	delete(s.streams, id)
	s.mu.Unlock()
}

func (s *Session) fail(err error) {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return
	}
	s.err = err
	streams := s.streams
	s.streams = map[uint32]*Stream{}
	s.mu.Unlock()
	s.rw.Close()
	for _, st := range streams {
		st.end(nil, err)
	}
	close(s.done)
}
