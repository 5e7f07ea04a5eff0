package probe

import (
	"bytes"
	"context"
	"fmt"

	"slipway/internal/machine"
)

// logCheck looks for text in the machine's log of this boot, or in a file.
type logCheck struct{ p *machine.LogProbe }

func newLog(p *machine.Probe) check { return logCheck{p.Log} }

// negative: the absence of a text means something only at the end.
func (c logCheck) negative() bool { return c.p.Contains == "" }

func (c logCheck) source() string {
	switch {
	case c.p.File != "":
		return c.p.File
	case c.p.Unit != "":
		return "the log of " + c.p.Unit
	}
	return "the log"
}

func (c logCheck) want() string {
	switch {
	case c.p.Contains == "":
		return fmt.Sprintf("no %q in %s", c.p.Absent, c.source())
	case c.p.Absent == "":
		return fmt.Sprintf("%q in %s", c.p.Contains, c.source())
	}
	return fmt.Sprintf("%q and no %q in %s", c.p.Contains, c.p.Absent, c.source())
}

// logScript prints the journal, or the file into which syslog writes most.
const logScript = `if [ -n "$2" ]; then exec cat -- "$2"; fi
if command -v journalctl >/dev/null 2>&1; then
	if [ -n "$1" ]; then exec journalctl -q --no-pager -b -o cat -u "$1"; fi
	exec journalctl -q --no-pager -b -o cat
fi
for f in /var/log/syslog /var/log/messages; do
	if [ -r "$f" ]; then exec cat "$f"; fi
done
echo "no journal and no syslog file" >&2; exit 1`

func (c logCheck) try(ctx context.Context, s *session) outcome {
	res, err := s.shell(ctx, logScript, c.p.Unit, c.p.File)
	if err != nil {
		return breaks("the log could not be read: %s", plain(err))
	}
	if res.Exit != 0 {
		return breaks("reading the log ended with %s", describe(res))
	}
	if c.p.Absent != "" {
		if line := lineWith(res.Stdout, c.p.Absent); line != nil {
			return misses("%s", quote(line))
		}
	}
	if !bytes.Contains(res.Stdout, []byte(c.p.Contains)) {
		return misses("%d lines without it, the last %s", bytes.Count(res.Stdout, []byte("\n")), quote(lastLine(res.Stdout)))
	}
	return holds("%s", quote(lineWith(res.Stdout, c.p.Contains)))
}

// lineWith is the first line with a text, nil if there is none.
func lineWith(data []byte, text string) []byte {
	at := bytes.Index(data, []byte(text))
	if at < 0 {
		return nil
	}
	start := bytes.LastIndexByte(data[:at], '\n') + 1
	line, _, _ := bytes.Cut(data[start:], []byte("\n"))
	return line
}

func lastLine(data []byte) []byte {
	data = bytes.TrimRight(data, "\n")
	return data[bytes.LastIndexByte(data, '\n')+1:]
}
