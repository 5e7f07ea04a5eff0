package netboot

import (
	"fmt"
	"slices"
	"strings"

	"slipway/internal/fleet"
)

// Line writes an event as one line of a log.
func Line(e fleet.Event) string {
	who := e.Machine
	if who == "" {
		who = e.Client
	}
	if who == "" {
		who = "-"
	}
	parts := []string{e.Time.Format("15:04:05.000"), fmt.Sprintf("%-12s %-14s", who, e.Kind)}
	if e.Stage != "" {
		parts = append(parts, "["+e.Stage+"]")
	}
	if e.Address != "" {
		parts = append(parts, e.Address)
	}
	if e.Text != "" {
		parts = append(parts, oneLine(e.Text))
	}
	if e.Total > 0 || e.Bytes > 0 {
		parts = append(parts, fmt.Sprintf("%d/%d bytes", e.Bytes, e.Total))
	}
	var fields []string
	for k, v := range e.Fields {
		fields = append(fields, k+"="+oneLine(v))
	}
	slices.Sort(fields)
	parts = append(parts, fields...)
	if e.Problem != "" {
		parts = append(parts, "PROBLEM: "+oneLine(e.Problem))
	}
	return strings.Join(parts, " ")
}

// oneLine keeps what machines say from looking like lines of ours.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
