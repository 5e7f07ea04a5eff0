package supervisor

import (
	"context"
	"io"
)

// Logs writes the machine's log: the journal where there is one, else what
// syslog wrote, else the console. With follow it goes on until ctx ends; lines
// limits how far it looks back, 0 means all.
func (m *Machine) Logs(ctx context.Context, w io.Writer, lines string, follow bool) error {
	if !m.Running() {
		return m.ConsoleLog(ctx, w, false)
	}
	for _, args := range logCommands(lines, follow) {
		exit, err := m.Exec(ctx, Command{Args: args[1:], Stdout: w})
		if ctx.Err() != nil {
			return nil
		}
		if err == nil && exit == 0 {
			return nil
		}
	}
	return m.ConsoleLog(ctx, w, follow)
}

// logCommands are ways to read a log, best first; the first word of each only
// names it.
func logCommands(lines string, follow bool) [][]string {
	journal := []string{"journal", "journalctl", "--no-pager", "--quiet"}
	tail := []string{"syslog", "tail"}
	if lines == "" {
		lines = "+1"
		journal = append(journal, "--lines=all")
	} else {
		journal = append(journal, "--lines="+lines)
	}
	tail = append(tail, "-n", lines)
	if follow {
		journal, tail = append(journal, "--follow"), append(tail, "-f")
	}
	return [][]string{journal, append(tail[:len(tail):len(tail)], "/var/log/syslog"), append(tail[:len(tail):len(tail)], "/var/log/messages")}
}
