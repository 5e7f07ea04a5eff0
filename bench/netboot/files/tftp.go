package main

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// tftpRow: a loader to 200 clients that begin at once, as iPXE's own ROM asks
// for it and as EDK2 does.
func tftpRow(dir string, runs int, _ time.Duration) (string, error) {
	text := "## TFTP: iPXE (1,111,040 bytes) to 200 clients at once\n\n" +
		"| client | server | seconds until all have it | MB/s | processor ms for all | slipway is |\n|---|---|---|---|---|---|\n"
	for _, kind := range []struct {
		name   string
		window int
	}{{"one block at a time (iPXE's ROM, most BIOS ROMs)", 1}, {"windows of 4 blocks asked for (EDK2)", 4}} {
		took, work := map[string][]float64{}, map[string][]float64{}
		var ratio []float64
		for round := range runs {
			for i := range 2 {
				name, start := "slipway", slipway
				if (i+round)%2 == 1 {
					name, start = "dnsmasq", dnsmasq
				}
				s, err := start(dir)
				if err != nil {
					return "", err
				}
				used := s.cpu()
				seconds, err := loadTFTP(200, kind.window)
				work[name] = append(work[name], float64((s.cpu() - used).Milliseconds()))
				s.stop()
				if err != nil {
					return "", fmt.Errorf("%s: %w", name, err)
				}
				took[name] = append(took[name], seconds)
			}
			ratio = append(ratio, took["dnsmasq"][round]/took["slipway"][round])
		}
		for _, name := range []string{"slipway", "dnsmasq"} {
			var rates []float64
			for _, s := range took[name] {
				rates = append(rates, 200*1.11104/s)
			}
			is := ""
			if name == "slipway" {
				is = spread(ratio, "%.1f") + " ×"
			}
			text += fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", kind.name, name, spread(took[name], "%.2f"), spread(rates, "%.0f"), spread(work[name], "%.0f"), is)
		}
	}
	return text + "\nMust: 1.0, aim: 3. dnsmasq 2.90 grants no windows.\n\n", nil
}

// tftpClient is one download.
type tftpClient struct {
	fd     int
	peer   *unix.SockaddrInet4
	expect int64 // next block
	inWin  int
	got    int64
	heard  time.Time
	last   []byte
	done   bool
}

const loaderSize = 1_111_040

// loadTFTP plays clients in one loop and says how long until all had it.
func loadTFTP(clients, window int) (seconds float64, err error) {
	poll, err := unix.EpollCreate1(0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(poll)
	asked := &unix.SockaddrInet4{Port: 69, Addr: [4]byte{127, 0, 0, 1}}
	request := "\x00\x01ipxe.efi\x00octet\x00blksize\x001468\x00tsize\x000\x00"
	if window > 1 {
		request += fmt.Sprintf("windowsize\x00%d\x00", window)
	}
	all := map[int]*tftpClient{}
	defer func() {
		for fd := range all {
			unix.Close(fd)
		}
	}()
	began := time.Now()
	for range clients {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return 0, err
		}
		c := &tftpClient{fd: fd, expect: 1, heard: time.Now(), last: []byte(request)}
		all[fd] = c
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}); err != nil {
			return 0, err
		}
		if err := unix.Sendto(fd, c.last, 0, asked); err != nil {
			return 0, err
		}
	}
	events, buf := make([]unix.EpollEvent, 256), make([]byte, 2048)
	left, checked := clients, time.Now()
	win := map[int]int{}
	for left > 0 {
		n, err := unix.EpollWait(poll, events, 200)
		if err != nil && err != unix.EINTR {
			return 0, err
		}
		for _, e := range events[:max(n, 0)] {
			c := all[int(e.Fd)]
			for {
				n, from, err := unix.Recvfrom(c.fd, buf, 0)
				if err != nil {
					break
				}
				if err := c.take(buf[:n], from.(*unix.SockaddrInet4), win, window); err != nil {
					return 0, err
				}
			}
			if c.done && win[c.fd] >= 0 {
				win[c.fd] = -1
				left--
			}
		}
		now := time.Now()
		if now.Sub(began) > 2*time.Minute {
			return 0, fmt.Errorf("%d of %d clients do not have it after two minutes", left, clients)
		}
		if now.Sub(checked) > 200*time.Millisecond {
			checked = now
			for _, c := range all {
				if !c.done && now.Sub(c.heard) > time.Second {
					c.heard = now
					to := c.peer
					if to == nil {
						to = asked
					}
					unix.Sendto(c.fd, c.last, 0, to)
				}
			}
		}
	}
	return time.Since(began).Seconds(), nil
}

// take answers one packet.
func (c *tftpClient) take(b []byte, from *unix.SockaddrInet4, win map[int]int, asked int) error {
	if len(b) < 4 || c.done {
		return nil
	}
	if c.peer != nil && from.Port != c.peer.Port {
		return nil // not the connection that it has (RFC 1350, 4)
	}
	c.peer, c.heard = from, time.Now()
	switch binary.BigEndian.Uint16(b) {
	case 5:
		return fmt.Errorf("the server says %q", b[4:])
	case 6:
		win[c.fd] = 1
		if asked > 1 && contains(b, "windowsize") {
			win[c.fd] = asked
		}
		c.say(0)
	case 3:
		n := binary.BigEndian.Uint16(b[2:])
		if n != uint16(c.expect) {
			if c.inWin != 0 || win[c.fd] > 1 {
				c.inWin = 0
				c.say(uint16(c.expect - 1))
			}
			return nil
		}
		c.expect++
		c.got += int64(len(b) - 4)
		c.inWin++
		final := len(b)-4 < 1468
		if final || c.inWin >= win[c.fd] {
			c.inWin = 0
			c.say(n)
		}
		if final {
			c.done = true
			if c.got != loaderSize {
				return fmt.Errorf("a client got %d bytes", c.got)
			}
		}
	}
	return nil
}

func (c *tftpClient) say(block uint16) {
	c.last = []byte{0, 4, byte(block >> 8), byte(block)}
	unix.Sendto(c.fd, c.last, 0, c.peer)
}

func contains(b []byte, s string) bool {
	for i := 0; i+len(s) <= len(b); i++ {
		if string(b[i:i+len(s)]) == s {
			return true
		}
	}
	return false
}
