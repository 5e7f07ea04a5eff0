// Package wire is the protocol between slipway and the guest helper: many
// independent streams over one reliable byte stream (a socket pair into a
// container, a virtio-serial port into a virtual machine). The same protocol
// is spoken on a supervisor's socket, which passes streams on to the guest.
//
// It needs nothing but bytes in order: no file descriptors are passed, no
// packet boundaries are assumed. It is not encrypted and not authenticated:
// whoever holds the stream controls the machine.
//
// # Frames
//
// All integers are big-endian. A frame is a header of 10 bytes and a payload:
//
//	kind     1 byte   see Kind
//	channel  1 byte   0 input, 1 output, 2 errors; 0 where it has no meaning
//	stream   4 bytes  chosen by the side that opens; 0 is the connection itself
//	length   4 bytes  of the payload, at most MaxPayload
//
// # Streams
//
// The client opens a stream with a Request (JSON), both sides send data on
// channels, the client may send Control messages (JSON), and the server ends
// the stream with a Reply (JSON). The client may give up earlier with a reset.
//
// # Flow control
//
// Each channel of each stream starts with a credit of Window bytes. Data uses
// it up, a window frame (payload: 4 bytes, a number of bytes) gives more. A
// peer that sends without credit breaks the protocol and is disconnected, so
// memory stays bounded by the number of streams, which is limited too.
package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Kind says what a frame means.
type Kind uint8

// The kinds of frames.
const (
	KindOpen    Kind = 1 // client: opens Stream; payload is a Request
	KindData    Kind = 2 // both: bytes on a channel
	KindEOF     Kind = 3 // both: no more bytes on this channel
	KindWindow  Kind = 4 // both: more credit for the peer on this channel
	KindControl Kind = 5 // client: a Control message
	KindReply   Kind = 6 // server: the Reply; the stream is over
	KindReset   Kind = 7 // client: not interested any more; the stream is over
	KindEvent   Kind = 8 // server, stream 0: an Event
	KindConfig  Kind = 9 // client, stream 0, once before anything else: a Config
)

// Bounds of the protocol.
const (
	HeaderSize = 10
	MaxPayload = 256 << 10 // of one frame
	maxData    = 32 << 10  // of one data frame that we send
	Window     = 256 << 10 // initial credit of a channel
	MaxStreams = 256       // open at a time
	channels   = 3
)

// Frame is one unit of the protocol.
type Frame struct {
	Kind    Kind
	Channel uint8
	Stream  uint32
	Payload []byte
}

// ReadFrame reads exactly one frame and not a byte more, so that another
// process may go on reading where this one stopped. At the end of the stream
// between two frames the error is io.EOF.
func ReadFrame(r io.Reader) (Frame, error) {
	var head [HeaderSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return Frame{}, err
	}
	f := Frame{Kind: Kind(head[0]), Channel: head[1], Stream: binary.BigEndian.Uint32(head[2:])}
	size := binary.BigEndian.Uint32(head[6:])
	switch {
	case f.Kind < KindOpen || f.Kind > KindConfig:
		return Frame{}, fmt.Errorf("wire: frame kind %d is unknown", head[0])
	case f.Channel >= channels:
		return Frame{}, fmt.Errorf("wire: channel %d, want less than %d", f.Channel, channels)
	case size > MaxPayload:
		return Frame{}, fmt.Errorf("wire: payload of %d bytes, want at most %d", size, MaxPayload)
	case f.Kind == KindWindow && size != 4:
		return Frame{}, fmt.Errorf("wire: window frame of %d bytes, want 4", size)
	}
	f.Payload = make([]byte, size)
	if _, err := io.ReadFull(r, f.Payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	return f, nil
}

// Append appends the encoded frame to b.
func (f Frame) Append(b []byte) []byte {
	b = append(b, byte(f.Kind), f.Channel)
	b = binary.BigEndian.AppendUint32(b, f.Stream)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Payload)))
	return append(b, f.Payload...)
}

// WriteFrame writes one frame with a single Write.
func WriteFrame(w io.Writer, f Frame) error {
	if len(f.Payload) > MaxPayload {
		return fmt.Errorf("wire: payload of %d bytes, want at most %d", len(f.Payload), MaxPayload)
	}
	_, err := w.Write(f.Append(make([]byte, 0, HeaderSize+len(f.Payload))))
	return err
}
