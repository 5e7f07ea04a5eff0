package probe

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"slipway/internal/machine"
)

// commandCheck runs a shell command inside. Without "exit" it must end with 0.
type commandCheck struct{ p *machine.Probe }

func newCommand(p *machine.Probe) check { return commandCheck{p} }

func (c commandCheck) exit() int {
	if c.p.Exit == nil {
		return 0
	}
	return *c.p.Exit
}

func (c commandCheck) want() string {
	text := fmt.Sprintf("exit status %d from %q", c.exit(), c.p.Command)
	if c.p.Stdout != nil {
		text += fmt.Sprintf(" with output %q", *c.p.Stdout)
	}
	if c.p.Stderr != nil {
		text += fmt.Sprintf(" with error output %q", *c.p.Stderr)
	}
	if c.p.Contains != "" {
		text += fmt.Sprintf(" with %q in its output", c.p.Contains)
	}
	return text
}

func (c commandCheck) try(ctx context.Context, s *session) outcome {
	res, err := s.shell(ctx, c.p.Command)
	if err != nil {
		return breaks("it could not be run: %s", plain(err))
	}
	seen := describe(res)
	switch {
	case res.Exit != c.exit(),
		c.p.Stdout != nil && !sameText(res.Stdout, *c.p.Stdout),
		c.p.Stderr != nil && !sameText(res.Stderr, *c.p.Stderr),
		!bytes.Contains(res.Stdout, []byte(c.p.Contains)):
		return misses("%s", seen)
	}
	return holds("%s", seen)
}

// sameText compares output with a wanted text, one final newline apart.
func sameText(got []byte, want string) bool {
	return strings.TrimSuffix(string(got), "\n") == strings.TrimSuffix(want, "\n")
}

// describe is how a program ended, in words.
func describe(res ExecResult) string {
	text := fmt.Sprintf("exit status %d", res.Exit)
	if len(res.Stdout) > 0 {
		text += ", output " + quote(res.Stdout)
	}
	if len(res.Stderr) > 0 {
		text += ", error output " + quote(res.Stderr)
	}
	if len(res.Stdout) == 0 && len(res.Stderr) == 0 {
		text += ", no output"
	}
	return text
}
