package probe

import (
	"context"
	"io"
	"regexp"
	"strings"
)

// typed is a terminal in a conversation: what is sent, and what was shown since.
type typed struct {
	ctx    context.Context
	stream io.ReadWriteCloser
	chunks chan []byte // closed at the end of the stream
	since  []byte      // shown since the last send
	all    []byte
}

func newTyped(ctx context.Context, stream io.ReadWriteCloser) *typed {
	t := &typed{ctx: ctx, stream: stream, chunks: make(chan []byte, 16)}
	go t.read()
	return t
}

// read passes on what comes, until the stream is closed.
func (t *typed) read() {
	defer close(t.chunks)
	for {
		buf := make([]byte, 4096)
		n, err := t.stream.Read(buf)
		if n > 0 {
			select {
			case t.chunks <- buf[:n]:
			case <-t.ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (t *typed) close() { t.stream.Close() }

func (t *typed) send(text string) {
	t.since = nil
	io.WriteString(t.stream, text) // a broken terminal shows itself by what does not come back
}

// until waits for one of the patterns in what was shown since the last send.
func (t *typed) until(patterns ...*regexp.Regexp) bool {
	for {
		text := t.text()
		for _, p := range patterns {
			if p.MatchString(text) {
				return true
			}
		}
		select {
		case chunk, ok := <-t.chunks:
			if !ok || len(t.all) > mostRead {
				return false
			}
			t.since = append(t.since, chunk...)
			t.all = append(t.all, chunk...)
		case <-t.ctx.Done():
			return false
		}
	}
}

// text is what was shown since the last send, without colours and the like.
func (t *typed) text() string { return plainText(t.since) }

func plainText(b []byte) string {
	return strings.ReplaceAll(escapes.ReplaceAllString(string(b), ""), "\r", "")
}

// shown is the end of what the terminal showed, without the password.
func (t *typed) shown(password string) string {
	text := strings.TrimSpace(plainText(t.all))
	if password != "" {
		text = strings.ReplaceAll(text, password, "***")
	}
	if len(text) > 200 {
		text = "..." + text[len(text)-200:]
	}
	if text == "" {
		return "nothing"
	}
	return quote([]byte(text))
}
