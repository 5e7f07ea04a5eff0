package logs

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// Bounds of what is posted: a whole log is read, and its end is kept, where it
// says what went wrong.
const (
	maxPost  = 32 << 20
	maxKept  = 256 << 10
	maxLines = 200
)

// Post takes posted lines, as an installer's hook sends them, of a machine that
// the caller knows. The query's name is what the log is called.
func (r *Receiver) Post(w http.ResponseWriter, q *http.Request, client, machine string) {
	if q.Method != http.MethodPost && q.Method != http.MethodPut {
		w.Header().Set("Allow", "POST, PUT")
		http.Error(w, "post the lines of a log here", http.StatusMethodNotAllowed)
		return
	}
	raw, cut, err := tail(http.MaxBytesReader(w, q.Body, maxPost), maxKept)
	if err != nil {
		http.Error(w, "the log broke off, or has more than 32 MiB", http.StatusBadRequest)
		return
	}
	from, _ := netip.ParseAddrPort(q.RemoteAddr)
	address := from.Addr().Unmap()
	now, program := r.now(), clip(printable([]byte(q.URL.Query().Get("name"))), 128)
	for _, l := range posted(raw, cut) {
		if l.Program == "" {
			l.Program = program
		}
		if r.admit(now, address) {
			r.Sink.Record(Event(l, now, address.String(), client, machine))
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// tail reads all and keeps the end; cut tells whether something was left out.
func tail(body io.Reader, keep int) (kept []byte, cut bool, err error) {
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		kept = append(kept, buf[:n]...)
		if len(kept) > 2*keep {
			kept, cut = append([]byte(nil), kept[len(kept)-keep:]...), true
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, false, err
		}
	}
	if len(kept) > keep {
		kept, cut = kept[len(kept)-keep:], true
	}
	return kept, cut, nil
}

// posted are the last lines of a body. Where some are left out, the first line
// says so.
func posted(raw []byte, cut bool) []Line {
	if l, ok := webhook(raw); ok && !cut {
		return []Line{l}
	}
	var lines []Line
	for _, one := range strings.Split(string(raw), "\n") {
		if l := Parse([]byte(one)); l.Text != "" {
			lines = append(lines, l)
		}
	}
	if over := len(lines) - maxLines; over > 0 || cut {
		lines = lines[max(0, over):]
		lines = append([]Line{{Text: fmt.Sprintf("only the last %d lines of this log are kept", len(lines))}}, lines...)
	}
	return lines
}

// webhook reads what Subiquity and cloud-init post of each of their steps.
func webhook(raw []byte) (Line, bool) {
	var e struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		Type        string `json:"event_type"`
		Result      string `json:"result"`
		Level       string `json:"level"`
	}
	if json.Unmarshal(raw, &e) != nil || e.Name == "" || e.Type == "" {
		return Line{}, false
	}
	l := Line{Program: clip(printable([]byte(e.Name)), 128), Text: e.Type}
	for _, more := range []string{e.Result, e.Description} {
		if more != "" {
			l.Text += ": " + more
		}
	}
	l.Text = short(printable([]byte(l.Text)))
	if e.Result == "FAIL" {
		l.Severity = "err"
	}
	return l, true
}

func (r *Receiver) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
