// Package qmp speaks QEMU's machine protocol: one JSON object a line, commands
// answered in order, events in between.
//
//	c, err := qmp.Open(ctx, conn)
//	err = c.Run(ctx, "cont", nil, nil)
//	for e := range c.Events() { ... }
//
// It holds the protocol, and no command's meaning. The protocol is described
// in QEMU's docs/interop/qmp-spec.
package qmp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// MaxMessage bounds one message, in bytes. The largest that QEMU sends, its own
// schema, has about 300 kB.
const MaxMessage = 8 << 20

// Event is something that happened in the machine, such as RESET or SHUTDOWN.
type Event struct {
	Name string
	Data json.RawMessage // nil without data
	Time time.Time
}

// Error is QEMU's refusal of a command.
type Error struct {
	Command string
	Class   string // GenericError, CommandNotFound, DeviceNotActive, ...
	Desc    string
}

func (e *Error) Error() string { return fmt.Sprintf("QEMU refuses %s: %s", e.Command, e.Desc) }

// message is any message of QEMU's; exactly one of its parts is present.
type message struct {
	Greeting *greeting       `json:"QMP"`
	Return   json.RawMessage `json:"return"`
	Error    *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
	ID        *uint64         `json:"id"`
	Event     string          `json:"event"`
	Data      json.RawMessage `json:"data"`
	Timestamp struct {
		Seconds      int64 `json:"seconds"`
		Microseconds int64 `json:"microseconds"`
	} `json:"timestamp"`
}

type greeting struct {
	Version struct {
		QEMU struct {
			Major int `json:"major"`
			Minor int `json:"minor"`
			Micro int `json:"micro"`
		} `json:"qemu"`
	} `json:"version"`
}

// parse reads one line.
func parse(line []byte) (*message, error) {
	var m message
	if err := json.Unmarshal(line, &m); err != nil {
		return nil, fmt.Errorf("reading QEMU's message %.80q: %w", line, err)
	}
	parts := 0
	for _, there := range []bool{m.Greeting != nil, m.Return != nil, m.Error != nil, m.Event != ""} {
		if there {
			parts++
		}
	}
	if parts != 1 {
		return nil, fmt.Errorf("reading QEMU's message %.80q: it is neither greeting, answer nor event", line)
	}
	return &m, nil
}

func (m *message) event() Event {
	return Event{Name: m.Event, Data: m.Data, Time: time.Unix(m.Timestamp.Seconds, m.Timestamp.Microseconds*1000)}
}

// errTooLong ends a connection on which a line has no end.
var errTooLong = errors.New("reading QEMU's message: longer than any that QEMU sends")

// lines reads messages with bounded memory.
type lines struct{ r *bufio.Reader }

func newLines(r io.Reader) *lines { return &lines{bufio.NewReaderSize(r, 64<<10)} }

// next returns the next message; io.EOF at the end between messages.
func (l *lines) next() (*message, error) {
	for {
		line, err := l.line()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return parse(line)
		}
	}
}

func (l *lines) line() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > MaxMessage:
			return nil, errTooLong
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == io.EOF && len(bytes.TrimSpace(line)) > 0:
			return nil, io.ErrUnexpectedEOF
		}
		return line, err
	}
}
