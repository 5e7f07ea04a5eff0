package probe

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"slipway/internal/machine"
)

// loginCheck logs in on a terminal as a person would: name, password if asked,
// then a shell's prompt or the expected text. It logs out again.
type loginCheck struct{ p *machine.LoginProbe }

func newLogin(p *machine.Probe) check { return loginCheck{p.Login} }

// bound lets a wrong password's pause pass, and still tries again.
func (c loginCheck) bound(within time.Duration) time.Duration { return max(within/2, 10*time.Second) }

func (c loginCheck) want() string {
	if c.p.Expect != "" {
		return fmt.Sprintf("a login as %s on the terminal that shows %q", c.p.User, c.p.Expect)
	}
	return fmt.Sprintf("a login as %s on the terminal", c.p.User)
}

var (
	loginPrompt    = regexp.MustCompile(`(?i)login:\s*$`)
	passwordPrompt = regexp.MustCompile(`(?i)password[^\n]*:\s*$`)
	shellPrompt    = regexp.MustCompile(`[#$%>]\s*$`)
	loginRefused   = regexp.MustCompile(`(?i)login incorrect|authentication failure|permission denied|account .*(locked|expired)`)
	escapes        = regexp.MustCompile(`\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][0-9A-B]|[=>78M])`)
)

func (c loginCheck) try(ctx context.Context, s *session) outcome {
	password, err := s.secret(c.p.Password)
	if err != nil {
		return breaks("%v", err)
	}
	stream, err := s.Terminal(ctx)
	if err != nil {
		return breaks("no terminal: %s", plain(err))
	}
	t := newTyped(ctx, stream)
	defer t.close()
	return c.talk(t, password)
}

// talk has the conversation.
func (c loginCheck) talk(t *typed, password string) outcome {
	t.send("\n") // getty prints its prompt anew
	if !t.until(loginPrompt) {
		return misses("no login prompt, but %s", t.shown(password))
	}
	t.send(c.p.User + "\n")
	if t.until(passwordPrompt, shellPrompt, loginRefused) && passwordPrompt.MatchString(t.text()) {
		if c.p.Password == nil {
			return misses("a question for a password, and the probe has none")
		}
		t.send(password + "\n")
	}
	done := shellPrompt
	if c.p.Expect != "" {
		done = regexp.MustCompile(regexp.QuoteMeta(c.p.Expect))
	}
	if !t.until(done, loginRefused) || !done.MatchString(t.text()) {
		return misses("%s", t.shown(password))
	}
	t.until(shellPrompt)
	t.send("exit\n")
	return holds("a login")
}

// secret reads a secret for a check; none is empty.
func (s *session) secret(secret *machine.Secret) (string, error) {
	if secret == nil {
		return "", nil
	}
	if reader, ok := s.Reach.(SecretReader); ok {
		return reader.Secret(*secret)
	}
	if secret.File != "" {
		data, err := os.ReadFile(secret.File)
		if err != nil {
			return "", fmt.Errorf("reading the password: %w", err)
		}
		return strings.TrimRight(string(data), "\r\n"), nil
	}
	value, ok := os.LookupEnv(secret.Env)
	if !ok {
		return "", fmt.Errorf("reading the password: the environment has no %s", secret.Env)
	}
	return value, nil
}
