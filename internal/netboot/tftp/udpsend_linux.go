package tftp

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxSegments and maxMessage bound one message that the kernel cuts: 64 pieces
// (UDP_MAX_SEGMENTS of the kernels before 6.9), in one packet of IPv4.
const (
	maxSegments = 64
	maxMessage  = 65000
)

// write sends everything. A packet that cannot be sent is lost, as packets
// are: the one behind it is tried all the same, and the first error told.
func (u *udpConn) write(out []packet) error {
	v := u.out.Get().(*vector)
	defer u.out.Put(v)
	var first error
	for len(out) > 0 {
		msgs, used := v.fill(out, u.v6, u.segments.Load())
		sent, err := u.send(v.msgs[:msgs])
		if err == nil {
			out = out[used:]
			continue
		}
		// What was sent before the message that failed stays sent.
		for i := range sent {
			out = out[v.msgs[i].hdr.Iovlen:]
		}
		if bad := v.msgs[sent].hdr.Iovlen; bad > 1 {
			// No segments here: the route, or the kernel, cannot do it.
			u.segments.Store(false)
		} else {
			out = out[1:]
			if first == nil {
				first = err
			}
		}
	}
	return first
}

// send hands messages to the kernel and says how many it took.
func (u *udpConn) send(msgs []mmsghdr) (int, error) {
	done := 0
	for done < len(msgs) {
		var n uintptr
		var errno syscall.Errno
		err := u.raw.Write(func(fd uintptr) bool {
			n, _, errno = syscall.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&msgs[done])), uintptr(len(msgs)-done), 0, 0, 0)
			return errno != syscall.EAGAIN
		})
		switch {
		case err != nil:
			return done, err
		case errno == syscall.EINTR:
		case errno != 0:
			return done, errno
		default:
			done += int(n)
		}
	}
	return done, nil
}

// fill makes messages of the packets: those that follow each other to one
// peer and have one length (the last may be shorter) become one message. It
// says how many messages there are and how many packets went in.
func (v *vector) fill(out []packet, v6, segments bool) (msgs, used int) {
	for used < len(out) && used < len(v.iovs) {
		run := 1
		if segments {
			run = runOf(out[used:min(len(out), len(v.iovs))])
		}
		for i := range run {
			o := &out[used+i]
			v.iovs[used+i].Base = &o.data[0]
			v.iovs[used+i].SetLen(len(o.data))
		}
		v.message(msgs, &out[used], v6, run)
		v.msgs[msgs].hdr.Iov = &v.iovs[used]
		v.msgs[msgs].hdr.SetIovlen(run)
		msgs++
		used += run
	}
	return msgs, used
}

// runOf is how many packets, from the first, may leave as one message.
func runOf(out []packet) int {
	size, total := len(out[0].data), 0
	for i := range out {
		n := len(out[i].data)
		total += n
		if i == maxSegments || total > maxMessage || n > size || out[i].peer != out[0].peer || out[i].local != out[0].local {
			return i
		}
		if n < size {
			return i + 1
		}
	}
	return len(out)
}

// message fills in whom it goes to, from which address, and how it is cut.
func (v *vector) message(i int, o *packet, v6 bool, run int) {
	h := &v.msgs[i].hdr
	name := &v.names[i]
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(name))}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], o.peer.Port())
	if v6 {
		name.Family, name.Addr, h.Namelen = unix.AF_INET6, o.peer.Addr().As16(), unix.SizeofSockaddrInet6
	} else {
		name.Family, h.Namelen = unix.AF_INET, unix.SizeofSockaddrInet4
		(*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr = o.peer.Addr().As4()
	}
	c := v.control[i][:0]
	if o.local.IsValid() && !v6 {
		from := o.local.As4()
		c = appendControl(c, unix.IPPROTO_IP, unix.IP_PKTINFO, append(make([]byte, 4, 12), append(from[:], 0, 0, 0, 0)...))
	} else if o.local.IsValid() {
		from := o.local.As16()
		c = appendControl(c, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(from[:], 0, 0, 0, 0))
	}
	if run > 1 {
		c = appendControl(c, unix.IPPROTO_UDP, unix.UDP_SEGMENT, binary.NativeEndian.AppendUint16(nil, uint16(len(o.data))))
	}
	if len(c) > 0 {
		h.Control = &v.control[i][0]
		h.SetControllen(len(c))
	}
}

// appendControl appends a control message (cmsg(3)) to b, which has room.
func appendControl(b []byte, level, kind int32, data []byte) []byte {
	start := len(b)
	b = b[:start+unix.CmsgSpace(len(data))]
	clear(b[start:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[start]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(len(data)))
	copy(b[start+unix.CmsgLen(0):], data)
	return b
}
