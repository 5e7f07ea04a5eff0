package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// load is a thousand new machines behind a relay, as perfdhcp plays them: each
// sends DISCOVER, takes the offer, and is done with the ACK. So many are under
// way at once; a packet without an answer is sent again after a second.
type load struct {
	clients, atOnce int
	limit           time.Duration
	first           int // number of the first client: new ones in each round
}

// loadResult is what came of it.
type loadResult struct {
	Done     int
	Seconds  float64
	P50, P99 time.Duration // DISCOVER to ACK of one client
	Again    int           // packets sent again
}

// player is one machine under way.
type player struct {
	begin, sent time.Time
	packet      []byte
}

const again = time.Second

func (l load) run(relay, server netip.Addr) (loadResult, error) {
	var r loadResult
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(relay, 67)))
	if err != nil {
		return r, err
	}
	defer c.Close()
	c.SetReadBuffer(4 << 20)
	to := netip.AddrPortFrom(server, 67)
	running := map[uint32]*player{}
	var times []time.Duration
	next, begin, buf := 0, time.Now(), make([]byte, 2048)
	send := func(id uint32, p *player) error {
		p.sent = time.Now()
		running[id] = p
		_, err := c.WriteToUDPAddrPort(p.packet, to)
		return err
	}
	for r.Done < l.clients && time.Since(begin) < l.limit {
		for next < l.clients && len(running) < l.atOnce {
			id := uint32(l.first + next)
			next++
			if err := send(id, &player{begin: time.Now(), packet: packet(relay, id, 1, nil, nil)}); err != nil {
				return r, err
			}
		}
		c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, _, err := c.ReadFromUDPAddrPort(buf)
		if errors.Is(err, errTimeout(err)) && err != nil {
			for id, p := range running {
				if time.Since(p.sent) > again {
					r.Again++
					if err := send(id, p); err != nil {
						return r, err
					}
				}
			}
			continue
		}
		if err != nil {
			return r, err
		}
		kind, server := read(buf[:n])
		id := binary.BigEndian.Uint32(buf[4:])
		p := running[id]
		switch {
		case p == nil:
		case kind == 2 && p.packet[242] == 1:
			p.packet = packet(relay, id, 3, buf[16:20], server)
			if err := send(id, p); err != nil {
				return r, err
			}
		case kind == 5:
			times = append(times, time.Since(p.begin))
			delete(running, id)
			r.Done++
		case kind == 6:
			return r, fmt.Errorf("a NAK for client %d", id)
		}
	}
	r.Seconds = time.Since(begin).Seconds()
	slices.Sort(times)
	if len(times) > 0 {
		r.P50, r.P99 = times[len(times)/2], times[min(len(times)-1, len(times)*99/100)]
	}
	return r, nil
}

func errTimeout(err error) error {
	var t net.Error
	if errors.As(err, &t) && t.Timeout() {
		return err
	}
	return errors.New("no timeout")
}

// packet is a relayed DISCOVER (1) or REQUEST (3) of PXE firmware.
func packet(relay netip.Addr, id uint32, kind byte, addr, server []byte) []byte {
	b := make([]byte, 240, 400)
	b[0], b[1], b[2], b[3] = 1, 1, 6, 1
	binary.BigEndian.PutUint32(b[4:], id)
	copy(b[24:], relay.AsSlice())
	b[28], b[29] = 0x52, 0x54
	binary.BigEndian.PutUint32(b[30:], id)
	copy(b[236:], []byte{99, 130, 83, 99})
	b = append(b, 53, 1, kind)
	if kind == 3 {
		b = append(append(b, 50, 4), addr...)
		b = append(append(b, 54, 4), server...)
	}
	b = append(b, 55, 6, 1, 3, 6, 43, 66, 67, 93, 2, 0, 7)
	class := "PXEClient:Arch:00007:UNDI:003016"
	b = append(append(b, 60, byte(len(class))), class...)
	return append(b, 255)
}

// read finds message type and server identifier.
func read(b []byte) (kind byte, server []byte) {
	for o := b[min(240, len(b)):]; len(o) >= 2 && o[0] != 255; {
		if o[0] == 0 {
			o = o[1:]
			continue
		}
		if len(o) < 2+int(o[1]) {
			break
		}
		switch v := o[2 : 2+int(o[1])]; o[0] {
		case 53:
			kind = v[0]
		case 54:
			server = v
		}
		o = o[2+int(o[1]):]
	}
	return kind, server
}
