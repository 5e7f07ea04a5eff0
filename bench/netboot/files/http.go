package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// httpRow: an image to 200 clients, over and over.
func httpRow(dir string, runs int, length time.Duration) (string, error) {
	const clients = 200
	rate, work := map[string][]float64{}, map[string][]float64{}
	var ratio []float64
	names := []string{"slipway", "nginx"}
	for round := range runs {
		for i := range names {
			name := names[(i+round)%2] // who goes first changes
			start, port := slipway, httpPort
			if name == "nginx" {
				start, port = nginx, peerPort
			}
			s, err := start(dir)
			if err != nil {
				return "", err
			}
			path := "/image"
			if name == "slipway" {
				b, _ := os.ReadFile(filepath.Join(dir, "path"))
				path = string(b)
			}
			bytes, took, cpu := loadHTTP(s, port, path, clients, length)
			s.stop()
			if bytes == 0 {
				return "", fmt.Errorf("%s sent nothing", name)
			}
			rate[name] = append(rate[name], bytes/took.Seconds()/1e6)
			work[name] = append(work[name], cpu.Seconds()/bytes*1e9*1000)
		}
		ratio = append(ratio, rate["slipway"][round]/rate["nginx"][round])
	}
	return fmt.Sprintf(`## HTTP: a 64 MiB image to %d clients at once

| server | MB/s | processor ms for a GB |
|---|---|---|
| slipway | %s | %s |
| nginx, sendfile, one worker | %s | %s |

slipway is %s × nginx (must: 0.9, aim: 1.1). Every transfer of slipway is told as events, with progress; nginx writes no log.

`, clients, spread(rate["slipway"], "%.0f"), spread(work["slipway"], "%.0f"), spread(rate["nginx"], "%.0f"), spread(work["nginx"], "%.0f"), spread(ratio, "%.2f")), nil
}

// loadHTTP reads with many clients for a while. What comes is dropped by the
// kernel (MSG_TRUNC, tcp(7)), so that clients are no bottleneck.
func loadHTTP(s *server, port, path string, clients int, length time.Duration) (bytes float64, took, cpu time.Duration) {
	var total atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: b\r\n\r\n")
	for range clients {
		wg.Go(func() {
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				return
			}
			defer c.Close()
			go func() { <-stop; c.Close() }()
			for {
				if _, err := c.Write(request); err != nil || fetch(c.(*net.TCPConn), &total) != nil {
					return
				}
			}
		})
	}
	time.Sleep(300 * time.Millisecond) // all are connected
	before, began, used := total.Load(), time.Now(), s.cpu()
	time.Sleep(length)
	bytes, took, cpu = float64(total.Load()-before), time.Since(began), s.cpu()-used
	close(stop)
	wg.Wait()
	return bytes, took, cpu
}

// fetch reads one answer.
func fetch(c *net.TCPConn, total *atomic.Int64) error {
	buf := make([]byte, 0, 1024)
	var left int64 = -1
	for left < 0 {
		n, err := c.Read(buf[len(buf) : len(buf)+256])
		if err != nil {
			return err
		}
		buf = buf[:len(buf)+n]
		if head, body, ok := strings.Cut(string(buf), "\r\n\r\n"); ok {
			_, length, _ := strings.Cut(head, "Content-Length: ")
			fmt.Sscan(length, &left)
			left -= int64(len(body))
		} else if len(buf) > 700 {
			return fmt.Errorf("no end of the header")
		}
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	sink := make([]byte, 1) // its length is what counts; nothing is written to it
	for left > 0 {
		var n int
		var errno error
		err := raw.Read(func(fd uintptr) bool {
			n, errno = drop(int(fd), sink, int(min(left, 4<<20)))
			return errno != unix.EAGAIN
		})
		if err != nil || errno != nil || n == 0 {
			return fmt.Errorf("reading: %v %v", err, errno)
		}
		left -= int64(n)
		total.Add(int64(n))
	}
	return nil
}
