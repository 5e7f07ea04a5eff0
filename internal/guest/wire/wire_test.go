package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestFrameBytes(t *testing.T) {
	f := Frame{Kind: KindData, Channel: Output, Stream: 0x01020304, Payload: []byte("hi")}
	want := []byte{
		2,          // kind: data
		1,          // channel: output
		1, 2, 3, 4, // stream
		0, 0, 0, 2, // length
		'h', 'i',
	}
	got := f.Append(nil)
	if !bytes.Equal(got, want) {
		t.Fatalf("encoded\n got %v\nwant %v", got, want)
	}
	r := bytes.NewReader(append(got, 'x'))
	back, err := ReadFrame(r)
	if err != nil || back.Stream != f.Stream || string(back.Payload) != "hi" {
		t.Fatalf("decoded %+v, %v", back, err)
	}
	if r.Len() != 1 {
		t.Errorf("read beyond the frame: %d bytes are left, want 1", r.Len())
	}
}

func TestFrameErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []byte
		want string
	}{
		{"nothing", nil, "EOF"},
		{"half a header", []byte{2, 1, 0}, "unexpected EOF"},
		{"half a payload", []byte{2, 1, 0, 0, 0, 1, 0, 0, 0, 5, 'a'}, "unexpected EOF"},
		{"no payload", []byte{2, 1, 0, 0, 0, 1, 0, 0, 0, 5}, "unexpected EOF"},
		{"unknown kind", []byte{99, 0, 0, 0, 0, 1, 0, 0, 0, 0}, "kind 99 is unknown"},
		{"kind 0", []byte{0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, "kind 0 is unknown"},
		{"channel", []byte{2, 3, 0, 0, 0, 1, 0, 0, 0, 0}, "channel 3"},
		{"too long", []byte{2, 0, 0, 0, 0, 1, 0xff, 0, 0, 0}, "payload of 4278190080 bytes"},
		{"window", []byte{4, 0, 0, 0, 0, 1, 0, 0, 0, 1, 7}, "window frame of 1 bytes"},
	} {
		_, err := ReadFrame(bytes.NewReader(c.in))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

// pair connects a client with a server that runs handler.
func pair(t *testing.T, handler func(*Stream)) *Session {
	t.Helper()
	a, b := net.Pipe()
	server := Server(b, handler)
	client := Client(a, nil)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client
}

func echo(st *Stream) {
	io.Copy(st.Writer(Output), st.Reader(Input))
	st.Finish(Reply{Exit: 3})
}

func TestMoreThanTheWindow(t *testing.T) {
	client := pair(t, echo)
	st, err := client.Open(Request{Op: "echo"})
	if err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("slipway "), Window/2) // four windows
	go func() {
		st.Writer(Input).Write(data)
		st.Writer(Input).Close()
	}()
	got, err := io.ReadAll(st.Reader(Output))
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("echoed %d bytes, want %d, %v", len(got), len(data), err)
	}
	if r, err := st.Wait(context.Background()); err != nil || r.Exit != 3 {
		t.Errorf("reply %+v, %v", r, err)
	}
}

// A stream that nobody reads must not hold up the others.
func TestStreamsAreIndependent(t *testing.T) {
	client := pair(t, func(st *Stream) {
		if st.Request.Op == "flood" {
			_, err := st.Writer(Output).Write(make([]byte, 4*Window))
			st.Finish(failed(err))
			return
		}
		echo(st)
	})
	flood, _ := client.Open(Request{Op: "flood"})
	st, _ := client.Open(Request{Op: "echo"})
	st.SendData(Input, []byte("through"))
	st.Writer(Input).Close()
	if got, _ := io.ReadAll(st.Reader(Output)); string(got) != "through" {
		t.Errorf("got %q", got)
	}
	flood.Reset()
	if _, err := flood.Wait(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("after a reset: %v", err)
	}
}

func failed(err error) Reply {
	if err != nil {
		return Reply{Error: err.Error()}
	}
	return Reply{}
}

func TestResetReachesTheServer(t *testing.T) {
	ended := make(chan struct{})
	client := pair(t, func(st *Stream) {
		<-st.Over()
		st.Finish(Reply{})
		close(ended)
	})
	st, _ := client.Open(Request{})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := st.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting: %v", err)
	}
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("the server was not told")
	}
}

func TestControlAndErrors(t *testing.T) {
	client := pair(t, func(st *Stream) {
		c, _ := st.NextControl()
		st.Finish(Reply{Error: "no such thing", Code: "not-exist", Exit: c.Rows})
	})
	st, _ := client.Open(Request{})
	st.SendControl(Control{Rows: 24})
	r, err := st.Wait(context.Background())
	var remote *RemoteError
	if !errors.As(err, &remote) || remote.Code != "not-exist" || r.Exit != 24 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestCreditIsEnforced(t *testing.T) {
	a, b := net.Pipe()
	started := make(chan struct{})
	server := Server(b, func(st *Stream) { close(started); <-st.Over() })
	go io.Copy(io.Discard, a)
	WriteFrame(a, Frame{Kind: KindOpen, Stream: 1, Payload: []byte("{}")})
	<-started
	for range Window/maxData + 1 {
		if WriteFrame(a, Frame{Kind: KindData, Stream: 1, Payload: make([]byte, maxData)}) != nil {
			break
		}
	}
	select {
	case <-server.Done():
	case <-time.After(5 * time.Second):
		t.Fatal("a peer without credit was not disconnected")
	}
	if err := server.Err(); err == nil || !strings.Contains(err.Error(), "beyond the credit") {
		t.Errorf("got %v", err)
	}
}

func TestBrokenConnection(t *testing.T) {
	client := pair(t, func(st *Stream) { st.s.rw.Close() })
	st, _ := client.Open(Request{})
	if _, err := st.Wait(context.Background()); err == nil {
		t.Error("a broken connection is no reply")
	}
	<-client.Done()
	if _, err := client.Open(Request{}); err == nil {
		t.Error("a stream was opened on a broken connection")
	}
}

// What decodes encodes to the same bytes, and nothing is allocated beyond the
// bound.
func FuzzFrame(f *testing.F) {
	f.Add([]byte{2, 1, 1, 2, 3, 4, 0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{4, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 1, 0})
	f.Add([]byte{2, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		frame, err := ReadFrame(r)
		if err != nil {
			return
		}
		used := in[:len(in)-r.Len()]
		if got := frame.Append(nil); !bytes.Equal(got, used) {
			t.Errorf("encoded %v, want %v", got, used)
		}
	})
}

// Any bytes from a peer end the session at worst.
func FuzzServer(f *testing.F) {
	open := Frame{Kind: KindOpen, Stream: 1, Payload: []byte(`{"op":"x"}`)}.Append(nil)
	f.Add(open)
	f.Add(Frame{Kind: KindData, Stream: 1, Payload: []byte("x")}.Append(open))
	f.Add(Frame{Kind: KindWindow, Stream: 1, Payload: []byte{0xff, 0xff, 0xff, 0xff}}.Append(open))
	f.Add(Frame{Kind: KindControl, Stream: 1, Payload: []byte("{")}.Append(open))
	f.Fuzz(func(t *testing.T, in []byte) {
		s := Server(&fixed{r: bytes.NewReader(in)}, func(st *Stream) {
			io.Copy(io.Discard, st.Reader(Input))
			st.Finish(Reply{})
		})
		select {
		case <-s.Done():
		case <-time.After(10 * time.Second):
			t.Error("the session does not end with its input")
		}
	})
}

// fixed is a peer that says something and hangs up.
type fixed struct{ r io.Reader }

func (f *fixed) Read(p []byte) (int, error)  { return f.r.Read(p) }
func (f *fixed) Write(p []byte) (int, error) { return len(p), nil }
func (f *fixed) Close() error                { return nil }
