package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"
)

// verdict is what one attempt of a check came to.
type verdict int

const (
	broken verdict = iota // the check could not be made
	missed                // it was made, and what was expected is not so
	held
)

// outcome is a verdict with the thing last seen.
type outcome struct {
	verdict verdict
	seen    string
}

func holds(format string, args ...any) outcome  { return outcome{held, fmt.Sprintf(format, args...)} }
func misses(format string, args ...any) outcome { return outcome{missed, fmt.Sprintf(format, args...)} }
func breaks(format string, args ...any) outcome { return outcome{broken, fmt.Sprintf(format, args...)} }

// check is one kind of probe, ready to be tried.
type check interface {
	// want is what is expected, as a noun phrase for messages.
	want() string
	// try makes one attempt. It should end with ctx; when it does not, it is
	// abandoned.
	try(ctx context.Context, s *session) outcome
}

// bounded is a check whose single attempt should take less than the deadline,
// because a lost packet or a stuck server of the machine's first seconds must
// not use up all the time.
type bounded interface {
	bound(within time.Duration) time.Duration
}

// negative is a check that looks for the absence of something and therefore
// means little before the machine is up.
type negative interface {
	negative() bool
}

// networkBound leaves time for at least two more attempts in a usual deadline
// without cutting off a server that is merely slow.
func networkBound(within time.Duration) time.Duration { return max(within/3, 5*time.Second) }

// quote shows what was seen, on one line and not endlessly.
func quote(b []byte) string {
	const most = 240
	s := string(b)
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return fmt.Sprintf("%q and %d more bytes", s[:cut], len(s)-cut)
	}
	return fmt.Sprintf("%q", s)
}

// plain is an error's text without the addresses and operations that Go's
// network errors put in front of the cause.
func plain(err error) string {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no answer in time"
	}
	text := err.Error()
	if i := strings.LastIndex(text, "connect: "); i >= 0 {
		return text[i+len("connect: "):]
	}
	return text
}

// readError says why no more came.
func readError(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the end of the connection"
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "no more in time"
	}
	return plain(err)
}
