package probe

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"slipway/internal/machine"
)

// fileCheck looks at a file inside, through commands that busybox has too.
type fileCheck struct{ p *machine.FileProbe }

func newFile(p *machine.Probe) check { return fileCheck{p.FileCheck} }

func (c fileCheck) exists() bool { return c.p.Exists == nil || *c.p.Exists }

func (c fileCheck) negative() bool { return !c.exists() }

func (c fileCheck) want() string {
	if !c.exists() {
		return "no file " + c.p.Path
	}
	text := "file " + c.p.Path
	if c.p.Mode != "" {
		text += " with mode " + c.p.Mode
	}
	if c.p.Owner != "" {
		text += " of " + c.p.Owner
	}
	if c.p.Contains != "" {
		text += fmt.Sprintf(" containing %q", c.p.Contains)
	}
	if c.p.Content != nil {
		text += " with content " + quote([]byte(*c.p.Content))
	}
	if c.p.SHA256 != "" {
		text += " with SHA-256 " + c.p.SHA256
	}
	return text
}

// statScript prints a mark, so that "not there" differs from "no stat here".
// -L: a link means the file that it leads to.
const statScript = `if [ -e "$1" ] || [ -L "$1" ]; then stat -L -c 'there %a %U %G %u %g' "$1"; else echo absent; fi`

func (c fileCheck) try(ctx context.Context, s *session) outcome {
	res, err := s.shell(ctx, statScript, c.p.Path)
	if err != nil {
		return breaks("it could not be looked at: %s", plain(err))
	}
	fields := strings.Fields(string(res.Stdout))
	switch {
	case len(fields) == 1 && fields[0] == "absent":
		if c.exists() {
			return misses("no such file")
		}
		return holds("no such file")
	case len(fields) != 6:
		return breaks("looking at it ended with %s", describe(res))
	case !c.exists():
		return misses("a file of %s:%s with mode %s", fields[2], fields[3], fields[1])
	}
	if seen := c.attributes(fields); seen != "" {
		return misses("%s", seen)
	}
	return c.content(ctx, s)
}

func (c fileCheck) attributes(fields []string) string {
	mode, user, group, uid, gid := fields[1], fields[2], fields[3], fields[4], fields[5]
	if c.p.Mode != "" && !sameMode(mode, c.p.Mode) {
		return "mode " + mode
	}
	wantUser, wantGroup, both := strings.Cut(c.p.Owner, ":")
	if wantUser != "" && wantUser != user && wantUser != uid || both && wantGroup != "" && wantGroup != group && wantGroup != gid {
		return "owner " + user + ":" + group
	}
	return ""
}

func sameMode(got, want string) bool {
	g, err1 := strconv.ParseUint(got, 8, 32)
	w, err2 := strconv.ParseUint(want, 8, 32)
	return err1 == nil && err2 == nil && g == w
}

func (c fileCheck) content(ctx context.Context, s *session) outcome {
	if c.p.SHA256 != "" {
		res, err := s.exec(ctx, "sha256sum", c.p.Path)
		if err != nil {
			return breaks("it could not be summed: %s", plain(err))
		}
		sum, _, _ := strings.Cut(strings.TrimPrefix(string(res.Stdout), `\`), " ")
		if !strings.EqualFold(sum, c.p.SHA256) {
			return misses("SHA-256 %s", orNothing(sum))
		}
	}
	if c.p.Content == nil && c.p.Contains == "" {
		return holds("the file")
	}
	res, err := s.exec(ctx, "cat", c.p.Path)
	if err != nil {
		return breaks("it could not be read: %s", plain(err))
	}
	if res.Exit != 0 {
		return misses("reading it ended with %s", describe(res))
	}
	if c.p.Content != nil && string(res.Stdout) != *c.p.Content || !bytes.Contains(res.Stdout, []byte(c.p.Contains)) {
		return misses("content %s", quote(res.Stdout))
	}
	return holds("the file")
}
