package store

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"
)

// The state log tells afterwards what was built, started, probed and stopped.
// A line is
//
//	2026-01-02T03:04:05.678901234Z build/web {"key":"...","seconds":4.2}
//
// time, prefix and one JSON value, separated by single spaces. Lines are only
// ever appended, each by one write. Beyond maxLog the file becomes
// state.log.1 and a new one begins with the newest line of every prefix, so
// that the present state is always in the current file.
const maxLog = 2 << 20

// LogRecord is a line of the state log.
type LogRecord struct {
	Time   time.Time
	Prefix string
	Fields json.RawMessage
}

// Log appends a line. The prefix names what the line is the newest state of,
// for example "machine/web"; it has no blanks. fields becomes JSON.
func (s *Store) Log(prefix string, fields any) error {
	if err := s.writable("writing the state log"); err != nil {
		return err
	}
	line, err := logLine(time.Now(), prefix, fields)
	if err != nil {
		return err
	}
	size, err := s.appendLog(line)
	if err == nil && size > maxLog {
		err = s.rotateLog()
	}
	return s.explain("writing the state log", err)
}

func logLine(t time.Time, prefix string, fields any) ([]byte, error) {
	if prefix == "" || strings.ContainsAny(prefix, " \t\r\n") {
		return nil, fmt.Errorf("writing the state log: bad prefix %q", prefix)
	}
	b, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("writing the state log: %s: %w", prefix, err)
	}
	return fmt.Appendf(nil, "%s %s %s\n", t.UTC().Format(time.RFC3339Nano), prefix, b), nil
}

// appendLog is for one writer at a time: the end of a long line that another is
// writing would be taken for a torn one.
func (s *Store) appendLog(line []byte) (size int64, err error) {
	unlock, err := s.Lock("log", true)
	if err != nil {
		return 0, err
	}
	defer unlock()
	name := s.path("state.log")
	f, err := os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	last := []byte{'\n'}
	if st.Size() > 0 {
		f.ReadAt(last, st.Size()-1)
	} else if err := s.own(name); err != nil {
		return 0, err
	}
	if last[0] != '\n' { // a torn line ends here
		line = append([]byte{'\n'}, line...)
	}
	_, err = f.Write(line)
	return st.Size() + int64(len(line)), err
}

// rotateLog begins a new file, unless another process just did.
func (s *Store) rotateLog() error {
	unlock, err := s.Lock("log", true)
	if err != nil {
		return err
	}
	defer unlock()
	name := s.path("state.log")
	if st, err := os.Stat(name); err != nil || st.Size() <= maxLog {
		return err
	}
	records, err := s.ReadLog()
	if err != nil {
		return err
	}
	f, err := s.TempFile("log")
	if err != nil {
		return err
	}
	if _, err := f.Write(newestLines(records)); err != nil {
		f.Close()
		os.Remove(f.Name())
		return err
	}
	if err := os.Rename(name, name+".1"); err != nil {
		f.Close()
		return err
	}
	return s.publish(f, name)
}

// newestLines are the newest records of each prefix, in their old order.
// Should even they be too long, the oldest are left out.
func newestLines(records []LogRecord) []byte {
	newest := make(map[string]int)
	for i, r := range records {
		newest[r.Prefix] = i
	}
	var lines [][]byte
	total := 0
	for i := len(records) - 1; i >= 0 && total < maxLog/2; i-- {
		if newest[records[i].Prefix] != i {
			continue
		}
		line, err := logLine(records[i].Time, records[i].Prefix, records[i].Fields)
		if err == nil {
			lines, total = append(lines, line), total+len(line)
		}
	}
	var b bytes.Buffer
	for i := len(lines) - 1; i >= 0; i-- {
		b.Write(lines[i])
	}
	return b.Bytes()
}

// ReadLog reads the current state log, the oldest line first. Lines that are
// torn or broken are left out. No log yet is no error.
func (s *Store) ReadLog() ([]LogRecord, error) {
	f, err := os.Open(s.path("state.log"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.explain("reading the state log", err)
	}
	defer f.Close()
	return parseLog(f)
}

func parseLog(r io.Reader) ([]LogRecord, error) {
	var out []LogRecord
	br := bufio.NewReader(io.LimitReader(r, 16*maxLog))
	for {
		line, err := br.ReadBytes('\n')
		if err == io.EOF { // what has no end of line is torn
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("reading the state log: %w", err)
		}
		if rec, ok := parseLogLine(line); ok {
			out = append(out, rec)
		}
	}
}

func parseLogLine(line []byte) (rec LogRecord, ok bool) {
	parts := bytes.SplitN(bytes.TrimSuffix(line, []byte("\n")), []byte(" "), 3)
	if len(parts) != 3 || len(parts[1]) == 0 || !json.Valid(parts[2]) {
		return rec, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(parts[0]))
	return LogRecord{Time: t, Prefix: string(parts[1]), Fields: parts[2]}, err == nil
}
