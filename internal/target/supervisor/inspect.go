package supervisor

import (
	"bufio"
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/machine"
)

// Details are what `inspect` shows of a machine.
type Details struct {
	Record
	Reason     string         `json:"reason,omitempty"`
	Definition string         `json:"definition"`
	Key        string         `json:"key"`
	Listening  []string       `json:"listening"` // sockets inside, as "tcp 0.0.0.0:80"
	IDs        IDMap          `json:"ids"`
	Limits     machine.Limits `json:"limits"`
	Memory     int64          `json:"memory"` // bytes in use
	Disk       int64          `json:"disk"`   // bytes written since it was built
	Boot       float64        `json:"boot"`   // seconds until init had reached its goal; 0: not yet
	Restarts   int            `json:"restarts"`
	Keep       bool           `json:"keep"`
	Init       string         `json:"init"` // systemd, busybox, openrc, sysv, other
	State      []string       `json:"state_paths"`
	Stages     []Mark         `json:"stages"` // on the way up, with the seconds since the start
}

// Inspect collects what is known about a machine.
func (m *Machine) Inspect(ctx context.Context) (*Details, error) {
	d := &Details{
		Record: m.Record, Reason: m.Reason, Definition: m.Definition, Key: m.Key, Listening: []string{},
		IDs: m.rec.IDs, Limits: m.rec.Spec.Definition.Container.Limits, Restarts: m.Restarts, Keep: m.Keep,
		Init: m.rec.Style, State: m.rec.Spec.Definition.State, Stages: m.Stages,
	}
	if !m.Ready.IsZero() {
		d.Boot = m.Ready.Sub(m.Started).Round(time.Millisecond).Seconds()
	}
	if !m.Running() {
		return d, nil
	}
	u, err := m.Usage(ctx)
	if err != nil {
		return nil, err
	}
	d.Memory, d.Disk = u.Memory, u.Disk
	for _, kind := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := m.ReadFile(ctx, "/proc/net/"+kind, 1<<20)
		if err != nil {
			continue // no IPv6
		}
		d.Listening = append(d.Listening, listening(kind, string(data))...)
	}
	slices.Sort(d.Listening)
	d.Listening = slices.Compact(d.Listening)
	return d, nil
}

// listening reads a table of proc(5), /proc/net/tcp and its kin: sockets in
// state LISTEN (0A), for udp the unconnected ones (07).
func listening(kind, table string) []string {
	want := "0A"
	if strings.HasPrefix(kind, "udp") {
		want = "07"
	}
	var list []string
	for lines := bufio.NewScanner(strings.NewReader(table)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || f[3] != want {
			continue
		}
		if a, ok := parseHexAddress(f[1]); ok {
			list = append(list, kind[:3]+" "+a.String())
		}
	}
	return list
}

// parseHexAddress reads "0100007F:0050": groups of 4 bytes in host order (this
// host is little-endian), then the port.
func parseHexAddress(text string) (netip.AddrPort, bool) {
	ip, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(ip)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	addr, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(n)), true
}
