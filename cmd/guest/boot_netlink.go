package main

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

// order is the byte order of netlink: the machine's own.
var order = binary.NativeEndian

// message is a netlink request under construction: netlink(7).
type message struct{ b []byte }

func newMessage(kind uint16, flags uint16) *message {
	m := &message{}
	m.u32(0) // length, set when sent
	m.u16(kind)
	m.u16(unix.NLM_F_REQUEST | unix.NLM_F_ACK | flags)
	m.u32(0) // sequence number
	m.u32(0)
	return m
}

func (m *message) bytes(b ...byte) { m.b = append(m.b, b...) }
func (m *message) u16(v uint16)    { m.b = order.AppendUint16(m.b, v) }
func (m *message) u32(v uint32)    { m.b = order.AppendUint32(m.b, v) }

// attr appends an attribute, padded to four bytes.
func (m *message) attr(kind uint16, value []byte) {
	m.u16(uint16(4 + len(value)))
	m.u16(kind)
	m.b = append(m.b, value...)
	m.b = append(m.b, make([]byte, -len(value)&3)...)
}

// do sends a request and waits for the kernel's verdict.
func (r *routes) do(m *message) error {
	r.seq++
	order.PutUint32(m.b, uint32(len(m.b)))
	order.PutUint32(m.b[8:], r.seq)
	if err := unix.Sendto(r.fd, m.b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 8192)
	for {
		n, _, err := unix.Recvfrom(r.fd, buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		if n < unix.NLMSG_HDRLEN+4 || order.Uint32(buf[8:]) != r.seq || order.Uint16(buf[4:]) != unix.NLMSG_ERROR {
			continue
		}
		if code := int32(order.Uint32(buf[unix.NLMSG_HDRLEN:])); code != 0 {
			return unix.Errno(-code)
		}
		return nil
	}
}
