package tftp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Operations of RFC 1350, 5, and RFC 2347.
const (
	opRead  = 1
	opWrite = 2
	opData  = 3
	opAck   = 4
	opError = 5
	opOACK  = 6
)

// Error codes of RFC 1350, appendix, and RFC 2347.
const (
	errOther     = 0
	errNotFound  = 1
	errAccess    = 2
	errIllegal   = 4
	errOptions   = 8
	maxRequest   = 1024 // bytes of a request that are looked at; RFC 2347 allows 512
	maxOptions   = 16
	maxErrorText = 256
)

var errMalformed = errors.New("malformed packet")

// option is one that a client asked for, its name in lower case.
type option struct{ name, value string }

// request is a read or write request.
type request struct {
	op      uint16
	name    string
	mode    string // lower case
	options []option
}

// parseRequest reads a request: the operation, then strings that each end in a
// zero byte (RFC 1350, 5; RFC 2347). Old loaders leave out the last zero.
func parseRequest(b []byte) (request, error) {
	if len(b) < 4 || len(b) > maxRequest {
		return request{}, fmt.Errorf("%w: a request of %d bytes", errMalformed, len(b))
	}
	r := request{op: binary.BigEndian.Uint16(b)}
	if r.op != opRead && r.op != opWrite {
		return request{}, fmt.Errorf("%w: operation %d is no request", errMalformed, r.op)
	}
	fields := bytes.Split(bytes.TrimSuffix(b[2:], []byte{0}), []byte{0})
	if len(fields) < 2 || len(fields[0]) == 0 {
		return request{}, fmt.Errorf("%w: no file name or no mode", errMalformed)
	}
	r.name, r.mode = string(fields[0]), strings.ToLower(string(fields[1]))
	for rest := fields[2:]; len(rest) >= 2 && len(rest[0]) > 0 && len(r.options) < maxOptions; rest = rest[2:] {
		r.options = append(r.options, option{strings.ToLower(string(rest[0])), string(rest[1])})
	}
	return r, nil
}

// parseError reads the code and the text of an error packet, made printable.
func parseError(b []byte) (code uint16, text string) {
	if len(b) < 4 {
		return errOther, ""
	}
	msg, _, _ := bytes.Cut(b[4:], []byte{0})
	if len(msg) > maxErrorText {
		msg = msg[:maxErrorText]
	}
	return binary.BigEndian.Uint16(b[2:]), printable(string(msg))
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '�' {
			return '?'
		}
		return r
	}, s)
}

func appendError(b []byte, code uint16, text string) []byte {
	b = binary.BigEndian.AppendUint16(b, opError)
	b = binary.BigEndian.AppendUint16(b, code)
	return append(append(b, text...), 0)
}

func appendOACK(b []byte, options []option) []byte {
	b = binary.BigEndian.AppendUint16(b, opOACK)
	for _, o := range options {
		b = append(append(b, o.name...), 0)
		b = append(append(b, o.value...), 0)
	}
	return b
}

func appendHeader(b []byte, op, value uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, op), value)
}
