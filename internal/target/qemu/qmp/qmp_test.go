package qmp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

const hello = `{"QMP": {"version": {"qemu": {"micro": 13, "minor": 0, "major": 10}, "package": "Debian"}, "capabilities": ["oob"]}}` + "\r\n"

// fake is QEMU's side: it greets, and answers each command with what reply
// gives; an empty reply closes the connection.
func fake(t *testing.T, reply func(command string, id uint64) string) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	go func() {
		defer theirs.Close()
		io.WriteString(theirs, hello)
		scanner := bufio.NewScanner(theirs)
		for scanner.Scan() {
			var c struct {
				Execute string `json:"execute"`
				ID      uint64 `json:"id"`
			}
			json.Unmarshal(scanner.Bytes(), &c)
			text := fmt.Sprintf(`{"return": {}, "id": %d}`, c.ID)
			if c.Execute != "qmp_capabilities" {
				text = reply(c.Execute, c.ID)
			}
			if text == "" {
				return
			}
			io.WriteString(theirs, text+"\r\n")
		}
	}()
	return ours
}

func TestClient(t *testing.T) {
	c, err := Open(t.Context(), fake(t, func(command string, id uint64) string {
		switch command {
		case "query-status":
			return fmt.Sprintf(`{"timestamp": {"seconds": 5, "microseconds": 6}, "event": "STOP"}`+"\n"+
				`{"timestamp": {"seconds": 7, "microseconds": 0}, "event": "SHUTDOWN", "data": {"guest": true}}`+"\n"+
				`{"return": {"status": "running"}, "id": %d}`, id)
		case "odd":
			return fmt.Sprintf(`{"return": {}, "id": 999}`+"\n"+`{"error": {"class": "GenericError", "desc": "no"}, "id": %d}`, id)
		}
		return ""
	}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Version.String() != "10.0.13" {
		t.Errorf("version %s", c.Version)
	}
	var status struct{ Status string }
	if err := c.Run(t.Context(), "query-status", nil, &status); err != nil || status.Status != "running" {
		t.Errorf("status %+v, %v", status, err)
	}
	first, second := <-c.Events(), <-c.Events()
	if first.Name != "STOP" || !first.Time.Equal(time.Unix(5, 6000)) || second.Name != "SHUTDOWN" || string(second.Data) != `{"guest": true}` {
		t.Errorf("events %+v, %+v", first, second)
	}
	var refusal *Error
	if err := c.Run(t.Context(), "odd", map[string]int{"a": 1}, nil); !errors.As(err, &refusal) || refusal.Desc != "no" {
		t.Errorf("refusal: %v", err)
	}
	if err := c.Run(t.Context(), "quit", nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if err := c.Run(t.Context(), "quit", nil, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("long after the end: %v", err)
	}
	if _, open := <-c.Events(); open {
		t.Error("an event after the end")
	}
}

func TestSilence(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Open(ctx, ours); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no greeting: %v", err)
	}
	c, err := Open(t.Context(), fake(t, func(string, uint64) string { return " " }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := c.Run(ctx, "query-status", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
}

// TestSlowReader: events that nobody takes do not hold commands up.
func TestSlowReader(t *testing.T) {
	many := strings.Repeat(`{"event": "RTC_CHANGE", "timestamp": {"seconds": 1, "microseconds": 1}}`+"\n", maxWaiting+500)
	c, err := Open(t.Context(), fake(t, func(_ string, id uint64) string { return many + fmt.Sprintf(`{"return": {}, "id": %d}`, id) }))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Run(t.Context(), "query-status", nil, nil); err != nil {
		t.Fatal(err)
	}
	c.Close()
	for range c.Events() {
	}
}

func TestParse(t *testing.T) {
	for line, good := range map[string]bool{
		`{"return": {}}`: true, `{"return": [], "id": 3}`: true, `{"event": "RESET"}`: true, `{"error": {"class": "a", "desc": "b"}}`: true,
		`{}`: false, `[]`: false, `{"return": {}, "event": "X"}`: false, `{"id": "x", "return": 1}`: false, ``: false,
	} {
		if _, err := parse([]byte(line)); (err == nil) != good {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestEndlessLine(t *testing.T) {
	_, err := newLines(io.LimitReader(endless{}, MaxMessage+1<<20)).next()
	if !errors.Is(err, errTooLong) {
		t.Errorf("got %v", err)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

func FuzzMessages(f *testing.F) {
	f.Add([]byte(hello + `{"return": {}, "id": 1}` + "\n"))
	f.Add([]byte(`{"timestamp": {"seconds": 1267020223, "microseconds": 435656}, "event": "POWERDOWN"}` + "\r\n"))
	f.Add([]byte(`{"id": 4, "error": {"class": "GenericError", "desc": "Device 'x' not found"}}` + "\n{"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLines(bytes.NewReader(data))
		for n := 0; ; n++ {
			m, err := l.next()
			if err != nil {
				return
			}
			if m == nil || n > len(data) {
				t.Fatal("messages without bytes")
			}
		}
	})
}
