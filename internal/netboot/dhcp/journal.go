package dhcp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The journal is a text file of one line per change, appended to and synced in
// groups. A line is tab-separated:
//
//	CRC STATE START END ADDRESS CLIENT MACHINE HOSTNAME
//
// CRC is the CRC-32C of the rest in hexadecimal, without the line's end; times
// are Unix seconds; the strings are quoted as in Go. The last line of an
// address counts.
const journalHead = "slipway-leases 1\n"

// journal is the file and what waits to be written. One goroutine writes.
type journal struct {
	path    string
	leases  *Leases
	damaged int

	mu      sync.Mutex
	wake    *sync.Cond
	queue   []byte
	waiting []func(error)
	compact bool // rewrite the file before anything else
	closed  bool
	done    chan struct{}

	// of the writing goroutine
	file  *os.File
	size  int64 // of what is known to be good
	limit int64 // size at which it is rewritten
	spare []byte
	// suspect is set by a failed sync: after it nothing is known of the file.
	suspect bool
}

// smallJournal is a size below which nothing is gained by rewriting.
const smallJournal = 1 << 20

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openJournal(path string, l *Leases) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	os.Remove(path + ".new") // what a crash in the middle of a rewrite left
	j := &journal{path: path, leases: l, done: make(chan struct{}), limit: smallJournal}
	j.wake = sync.NewCond(&j.mu)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	j.file = f
	if err := j.lock(f); err != nil {
		f.Close()
		return nil, err
	}
	if err := j.read(); err != nil {
		f.Close()
		return nil, err
	}
	return j, nil
}

// lock keeps other servers off the file.
func (j *journal) lock(f *os.File) error {
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s is in use by another server: stop it, or give this one another folder", j.path)
		}
		return fmt.Errorf("locking %s: %w", j.path, err)
	}
	return nil
}

// read fills the table and leaves the file at the end of its last whole line.
func (j *journal) read() error {
	r := bufio.NewReaderSize(j.file, 1<<16)
	head, err := r.ReadString('\n')
	if err != nil && err != io.EOF {
		return fmt.Errorf("reading %s: %w", j.path, err)
	}
	if head != journalHead {
		if strings.HasPrefix(journalHead, head) { // new, or torn at birth
			return j.begin()
		}
		return fmt.Errorf("%s is no journal of leases: its first line is %.40q; move it away", j.path, head)
	}
	j.size = int64(len(head))
	now, wall := j.leases.clock.Mono(), j.leases.clock.Wall()
	for {
		line, err := r.ReadSlice('\n')
		if err == io.EOF {
			break // torn: what is after the last line's end was never acknowledged
		}
		if err == nil || err == bufio.ErrBufferFull {
			j.size += int64(len(line))
		}
		if err == bufio.ErrBufferFull {
			j.damaged++
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", j.path, err)
		}
		e, ok := parseLine(line[:len(line)-1], now, wall)
		if !ok {
			j.damaged++
			continue
		}
		j.leases.byAddr[e.addr] = e
	}
	if err := j.file.Truncate(j.size); err != nil {
		return fmt.Errorf("cutting the torn end off %s: %w", j.path, err)
	}
	_, err = j.file.Seek(j.size, io.SeekStart)
	return err
}

func (j *journal) begin() error {
	if err := j.file.Truncate(0); err != nil {
		return err
	}
	if _, err := j.file.WriteAt([]byte(journalHead), 0); err != nil {
		return err
	}
	j.size = int64(len(journalHead))
	_, err := j.file.Seek(j.size, io.SeekStart)
	return err
}

// add queues lines; then is called once they are on the disk, or cannot be.
func (j *journal) add(lines []byte, then func(error)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		if then != nil {
			then(os.ErrClosed)
		}
		return
	}
	j.queue = append(j.queue, lines...)
	if then != nil {
		j.waiting = append(j.waiting, then)
	}
	j.wake.Signal()
}

// rewrite asks for a file of the present table.
func (j *journal) rewrite() {
	j.mu.Lock()
	j.compact = true
	j.wake.Signal()
	j.mu.Unlock()
}

// run writes groups of lines until close.
func (j *journal) run() {
	defer close(j.done)
	for {
		j.mu.Lock()
		for len(j.queue) == 0 && len(j.waiting) == 0 && !j.compact && !j.closed {
			j.wake.Wait()
		}
		if j.closed && len(j.queue) == 0 && len(j.waiting) == 0 && !j.compact {
			j.mu.Unlock()
			return
		}
		lines, waiting, compact := j.queue, j.waiting, j.compact
		j.queue, j.waiting, j.compact = j.spare[:0], nil, false
		j.mu.Unlock()

		err := j.write(lines, compact)
		for _, then := range waiting {
			then(err)
		}
		j.spare = lines
		if cap(j.spare) > smallJournal {
			j.spare = nil
		}
	}
}

// write makes a group of lines durable.
func (j *journal) write(lines []byte, compact bool) error {
	if compact || j.suspect || j.size > j.limit {
		err := j.replace()
		if err == nil {
			j.suspect = false
			return nil // the table has these lines already
		}
		if j.suspect {
			return fmt.Errorf("writing the leases anew: %w", err)
		}
		j.limit = j.size + smallJournal // it goes on with the old file
	}
	if len(lines) == 0 {
		return nil
	}
	if _, err := j.file.Write(lines); err != nil {
		j.file.Truncate(j.size)
		j.file.Seek(j.size, io.SeekStart)
		return fmt.Errorf("writing leases: %w", err)
	}
	if err := unix.Fdatasync(int(j.file.Fd())); err != nil {
		j.suspect = true
		return fmt.Errorf("syncing leases: %w", err)
	}
	j.size += int64(len(lines))
	return nil
}

// replace writes the table into a new file and puts it in the place of the old.
func (j *journal) replace() error {
	tmp := j.path + ".new"
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	all := append([]byte(journalHead), j.leases.lines()...)
	if err = j.lock(f); err == nil {
		_, err = f.Write(all)
	}
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(tmp, j.path)
	}
	if err != nil {
		f.Close()
		os.Remove(tmp)
		return err
	}
	j.file.Close()
	j.file, j.size = f, int64(len(all))
	j.limit = max(smallJournal, 4*j.size)
	if dir, err := os.Open(filepath.Dir(j.path)); err == nil {
		err = dir.Sync()
		dir.Close()
		return err
	}
	return nil
}

func (j *journal) close() error {
	j.mu.Lock()
	j.closed = true
	j.wake.Signal()
	j.mu.Unlock()
	<-j.done
	return j.file.Close()
}

// lines returns the whole table as lines of a journal.
func (l *Leases) lines() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, wall := l.clock.Mono(), l.clock.Wall()
	out := make([]byte, 0, 96*len(l.byAddr))
	for _, e := range l.byAddr {
		if e.state != LeaseOffered {
			out = e.appendLine(out, now, wall)
		}
	}
	return out
}

// appendLine appends the line of an entry to a group of lines.
func (e *entry) appendLine(b []byte, now time.Duration, wall time.Time) []byte {
	at := len(b)
	b = append(b, "00000000\t"...)
	b = append(append(b, e.state...), '\t')
	b = append(strconv.AppendInt(b, e.start, 10), '\t')
	b = append(strconv.AppendInt(b, wall.Add(e.end-now+time.Second/2).Unix(), 10), '\t')
	b = append(address(e.addr).AppendTo(b), '\t')
	b = append(strconv.AppendQuote(b, e.client), '\t')
	b = append(strconv.AppendQuote(b, e.machine), '\t')
	b = strconv.AppendQuote(b, e.hostname)
	sum := crc32.Checksum(b[at+9:], castagnoli)
	const digits = "0123456789abcdef"
	for i := range 8 {
		b[at+i] = digits[sum>>(28-4*i)&15]
	}
	return append(b, '\n')
}

// parseLine reads a line without its end; false: it is damaged.
func parseLine(line []byte, now time.Duration, wall time.Time) (*entry, bool) {
	if len(line) < 9 || line[8] != '\t' {
		return nil, false
	}
	sum, err := strconv.ParseUint(string(line[:8]), 16, 32)
	if err != nil || uint32(sum) != crc32.Checksum(line[9:], castagnoli) {
		return nil, false
	}
	f := bytes.Split(line[9:], []byte{'\t'})
	if len(f) != 7 {
		return nil, false
	}
	start, err1 := strconv.ParseInt(string(f[1]), 10, 64)
	end, err2 := strconv.ParseInt(string(f[2]), 10, 64)
	addr, err3 := netip.ParseAddr(string(f[3]))
	client, err4 := strconv.Unquote(string(f[4]))
	machine, err5 := strconv.Unquote(string(f[5]))
	hostname, err6 := strconv.Unquote(string(f[6]))
	if errors.Join(err1, err2, err3, err4, err5, err6) != nil || !addr.Is4() {
		return nil, false
	}
	e := &entry{addr: number(addr), state: LeaseState(f[0]), start: start, client: client, machine: machine, hostname: hostname}
	e.end = now + time.Duration(end-wall.Unix())*time.Second
	switch e.state {
	case LeaseActive, LeaseReleased, LeaseDeclined, LeaseConflict:
		return e, true
	}
	return nil, false
}
