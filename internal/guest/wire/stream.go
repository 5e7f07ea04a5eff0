package wire

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The channels of a stream.
const (
	Input  = 0 // client to server
	Output = 1 // server to client
	Errors = 2 // server to client
)

// Stream is one conversation. Its methods are safe for parallel use.
type Stream struct {
	// Request opened the stream; only the server's side has it.
	Request Request

	s  *Session
	id uint32

	mu       sync.Mutex
	cond     *sync.Cond
	in       [channels]inbox
	credit   [channels]int
	control  []Control
	reply    *Reply
	err      error // set when the stream is over
	over     chan struct{}
	finished bool
}

type inbox struct {
	data     []byte
	eof      bool
	consumed int // since the last window frame
	held     int // bytes of the peer's credit that are in data
}

func newStream(s *Session, id uint32) *Stream {
	st := &Stream{s: s, id: id, over: make(chan struct{})}
	st.cond = sync.NewCond(&st.mu)
	for i := range st.credit {
		st.credit[i] = Window
	}
	return st
}

// Over is closed when the peer has ended the stream or the connection broke.
func (st *Stream) Over() <-chan struct{} { return st.over }

// Reader gives what the peer sends on a channel. It ends with io.EOF, also
// when the stream was ended in order.
func (st *Stream) Reader(channel int) io.Reader { return reader{st, channel} }

// Writer sends on a channel; Close tells the peer that nothing follows.
func (st *Stream) Writer(channel int) io.WriteCloser { return writer{st, channel} }

type reader struct {
	st *Stream
	ch int
}

func (r reader) Read(p []byte) (int, error) { return r.st.readFrom(r.ch, p) }

type writer struct {
	st *Stream
	ch int
}

func (w writer) Write(p []byte) (int, error) { return w.st.writeTo(w.ch, p) }

func (w writer) Close() error {
	return w.st.s.send(Frame{Kind: KindEOF, Channel: uint8(w.ch), Stream: w.st.id})
}

func (st *Stream) readFrom(ch int, p []byte) (int, error) {
	st.mu.Lock()
	in := &st.in[ch]
	for len(in.data) == 0 && !in.eof && st.err == nil {
		st.cond.Wait()
	}
	if len(in.data) == 0 {
		err := st.err
		if in.eof || st.reply != nil || err == nil {
			err = io.EOF
		}
		st.mu.Unlock()
		return 0, err
	}
	n := copy(p, in.data)
	in.data = in.data[n:]
	if len(in.data) == 0 {
		in.data = nil
	}
	in.held -= n
	in.consumed += n
	give := 0
	if in.consumed >= Window/4 && st.err == nil {
		give, in.consumed = in.consumed, 0
	}
	st.mu.Unlock()
	if give > 0 {
		payload := binary.BigEndian.AppendUint32(nil, uint32(give))
		if err := st.s.send(Frame{Kind: KindWindow, Channel: uint8(ch), Stream: st.id, Payload: payload}); err != nil {
			return n, nil // the next read meets the end
		}
	}
	return n, nil
}

func (st *Stream) writeTo(ch int, p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n, err := st.take(ch, min(len(p)-sent, maxData))
		if err != nil {
			return sent, err
		}
		f := Frame{Kind: KindData, Channel: uint8(ch), Stream: st.id, Payload: p[sent : sent+n]}
		if err := st.s.send(f); err != nil {
			return sent, err
		}
		sent += n
	}
	return sent, nil
}

// take waits for credit and uses at most want bytes of it.
func (st *Stream) take(ch, want int) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for st.credit[ch] == 0 && st.err == nil {
		st.cond.Wait()
	}
	if st.err != nil {
		return 0, st.err
	}
	n := min(want, st.credit[ch])
	st.credit[ch] -= n
	return n, nil
}

// SendControl sends a message beside the data, such as a window size.
func (st *Stream) SendControl(c Control) error {
	payload, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("encoding a control message: %w", err)
	}
	return st.s.send(Frame{Kind: KindControl, Stream: st.id, Payload: payload})
}

// NextControl waits for the next control message; false when the stream is over.
func (st *Stream) NextControl() (Control, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for len(st.control) == 0 && st.err == nil {
		st.cond.Wait()
	}
	if len(st.control) == 0 {
		return Control{}, false
	}
	c := st.control[0]
	st.control = st.control[1:]
	return c, true
}

// Finish ends the stream with a reply; only the first call counts.
func (st *Stream) Finish(r Reply) error {
	st.mu.Lock()
	if st.finished {
		st.mu.Unlock()
		return nil
	}
	st.finished = true
	st.mu.Unlock()
	payload, err := json.Marshal(r)
	if err == nil && len(payload) > MaxPayload {
		err = errors.New("wire: reply is too large")
	}
	if err != nil {
		payload, _ = json.Marshal(Reply{Error: err.Error()})
	}
	st.s.forget(st.id)
	err = st.s.send(Frame{Kind: KindReply, Stream: st.id, Payload: payload})
	st.end(nil, ErrClosed)
	return err
}

// Reset tells the server that the client lost interest.
func (st *Stream) Reset() {
	st.s.forget(st.id)
	st.mu.Lock()
	gone := st.err != nil
	st.mu.Unlock()
	if !gone {
		st.s.send(Frame{Kind: KindReset, Stream: st.id}) // a broken connection has the same effect
	}
	st.end(nil, ErrClosed)
}

// Wait waits for the reply. When ctx ends first, the stream is reset. An
// error that the peer reported is returned as *RemoteError with the reply.
func (st *Stream) Wait(ctx context.Context) (Reply, error) {
	select {
	case <-st.over:
	case <-ctx.Done():
		st.Reset()
		return Reply{}, context.Cause(ctx)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.reply == nil {
		return Reply{}, st.err
	}
	if st.reply.Error != "" {
		return *st.reply, &RemoteError{Message: st.reply.Error, Code: st.reply.Code}
	}
	return *st.reply, nil
}

func (st *Stream) receive(f Frame) error {
	switch f.Kind {
	case KindReply:
		var r Reply
		if err := json.Unmarshal(f.Payload, &r); err != nil {
			return fmt.Errorf("decoding a reply: %w", err)
		}
		st.s.forget(st.id)
		st.end(&r, ErrClosed)
		return nil
	case KindReset:
		st.s.forget(st.id)
		st.end(nil, ErrClosed)
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	defer st.cond.Broadcast()
	ch := f.Channel
	switch f.Kind {
	case KindData:
		in := &st.in[ch]
		if in.held+len(f.Payload) > Window {
			return fmt.Errorf("wire: stream %d channel %d: data beyond the credit", st.id, ch)
		}
		in.held += len(f.Payload)
		in.data = append(in.data, f.Payload...)
	case KindEOF:
		st.in[ch].eof = true
	case KindWindow:
		give := binary.BigEndian.Uint32(f.Payload)
		if give > Window || st.credit[ch]+int(give) > Window {
			return fmt.Errorf("wire: stream %d channel %d: credit beyond the window", st.id, ch)
		}
		st.credit[ch] += int(give)
	case KindControl:
		var c Control
		if err := json.Unmarshal(f.Payload, &c); err != nil {
			return fmt.Errorf("decoding a control message: %w", err)
		}
		if len(st.control) >= 1024 {
			return fmt.Errorf("wire: stream %d: too many control messages", st.id)
		}
		st.control = append(st.control, c)
	}
	return nil
}

func (st *Stream) end(r *Reply, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil {
		return
	}
	st.err, st.reply = err, r
	close(st.over)
	st.cond.Broadcast()
}

// SendData writes to a channel in one call.
func (st *Stream) SendData(channel int, p []byte) error {
	_, err := st.writeTo(channel, p)
	return err
}
