package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// The DHCP row: DISCOVER to ACK at a thousand new clients, beside dnsmasq and
// Kea, each as it is by default, in two network namespaces.
const (
	serverLink = "srv0"
	clientLink = "cli0"
)

// dhcpPeer is a server that is measured.
type dhcpPeer struct {
	name    string
	durable string // what its default promises of an acknowledged lease
	start   func(b *bench, dir string) *exec.Cmd
}

var dhcpPeers = []dhcpPeer{
	{"slipway", "synced before the ACK; addresses checked by ARP", func(b *bench, dir string) *exec.Cmd {
		return b.inside(b.server, b.self, "-serve-dhcp", filepath.Join(dir, "leases"))
	}},
	{"dnsmasq", "file rewritten, not synced; addresses checked by ping", func(b *bench, dir string) *exec.Cmd {
		return b.inside(b.server, "dnsmasq", dnsmasqArgs(dir)...)
	}},
	{"dnsmasq --no-ping", "file rewritten, not synced; no check", func(b *bench, dir string) *exec.Cmd {
		return b.inside(b.server, "dnsmasq", append(dnsmasqArgs(dir), "--no-ping")...)
	}},
	{"Kea", "file appended, not synced; no check", func(b *bench, dir string) *exec.Cmd {
		config := filepath.Join(dir, "kea.json")
		os.WriteFile(config, []byte(fmt.Sprintf(keaConfig, serverLink, filepath.Join(dir, "kea.csv"))), 0o644)
		cmd := b.inside(b.server, "kea-dhcp4", "-c", config)
		cmd.Env = append(os.Environ(), "KEA_LOCKFILE_DIR="+dir, "KEA_PIDFILE_DIR="+dir, "KEA_LOGGER_DESTINATION=/dev/null")
		return cmd
	}},
}

func dnsmasqArgs(dir string) []string {
	return []string{"-k", "-p", "0", "-C", "/dev/null", "--user=root", "--interface=" + serverLink, "--dhcp-range=10.9.1.0,10.9.250.0,1h",
		"--dhcp-lease-max=60000", "--dhcp-authoritative", "--log-facility=/dev/null", "--quiet-dhcp", "--dhcp-boot=snponly.efi",
		"--dhcp-leasefile=" + filepath.Join(dir, "dnsmasq.leases"), "--pid-file=" + filepath.Join(dir, "pid")}
}

const keaConfig = `{"Dhcp4": {"interfaces-config": {"interfaces": ["%s"]}, "authoritative": true, "valid-lifetime": 3600, "boot-file-name": "snponly.efi",
"lease-database": {"type": "memfile", "persist": true, "name": "%s"},
"loggers": [{"name": "kea-dhcp4", "severity": "ERROR", "output_options": [{"output": "stderr"}]}],
"subnet4": [{"id": 1, "subnet": "10.9.0.0/16", "pools": [{"pool": "10.9.1.0 - 10.9.250.0"}], "option-data": [{"name": "routers", "data": "10.9.0.1"}]}]}}`

// underWay is how many of the machines are under way at once: a rack that is
// switched on, and a hall.
var underWay = []int{20, 200}

// dhcpRow measures all peers in turn, round after round.
func dhcpRow(b *bench) (string, error) {
	if err := b.namespaces(); err != nil {
		return "", err
	}
	defer b.dismantle()
	all := map[string][]dhcpResult{}
	for round := range b.runs {
		for _, p := range dhcpPeers {
			r, err := b.dhcpRound(p, round)
			if err != nil {
				fmt.Fprintf(os.Stderr, "dhcp: %s: %v\n", p.name, err)
				continue
			}
			fmt.Fprintf(os.Stderr, "dhcp: %-18s %+v\n", p.name, r)
			all[p.name] = append(all[p.name], r)
		}
	}
	return dhcpTable(b, all), nil
}

// dhcpResult is one round of one server.
type dhcpResult struct {
	loads []loadResult // by underWay
	perf  perfResult
}

// dhcpRound starts a server with no leases and loads it, with our machines and
// then with perfdhcp's.
func (b *bench) dhcpRound(p dhcpPeer, round int) (r dhcpResult, err error) {
	dir, err := os.MkdirTemp(b.dir, "dhcp-")
	if err != nil {
		return r, err
	}
	cmd := p.start(b, dir)
	if cmd.Err != nil {
		return r, cmd.Err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	time.Sleep(3 * time.Second) // Kea needs long
	for i, n := range underWay {
		out, err := b.inside(b.client, b.self, "-load-dhcp", fmt.Sprintf("%d,%d,%d", b.clients, n, (round*len(underWay)+i+1)*100_000)).Output()
		if err != nil {
			return r, fmt.Errorf("the load: %w", err)
		}
		var l loadResult
		if err := json.Unmarshal(out, &l); err != nil {
			return r, err
		}
		r.loads = append(r.loads, l)
		time.Sleep(time.Second)
	}
	clients := fmt.Sprint(b.clients)
	text, _ := b.inside(b.client, "timeout", "20", "perfdhcp", "-4", "-l", clientLink, "-L", "67", "-r", clients, "-n", clients, "-R", clients, "-W", "1000000", "10.9.0.1").CombinedOutput()
	r.perf = readPerf(string(text))
	return r, nil
}

// perfResult is what perfdhcp says: ACKs of so many clients, and the longest
// of both delays.
type perfResult struct {
	acks     int
	avg, max float64 // ms, of both halves together
}

var perfFigures = regexp.MustCompile(`(received packets|avg delay|max delay): ([0-9.]+)`)

func readPerf(text string) perfResult {
	var p perfResult
	for _, m := range perfFigures.FindAllStringSubmatch(text, -1) {
		v, _ := strconv.ParseFloat(m[2], 64)
		switch m[1] {
		case "received packets":
			p.acks = int(v) // the second table is that of REQUEST and ACK
		case "avg delay":
			p.avg += v
		case "max delay":
			p.max += v
		}
	}
	return p
}

// loadDHCP is the loading side, in the client's namespace.
func loadDHCP(spec string) error {
	var l load
	if _, err := fmt.Sscanf(spec, "%d,%d,%d", &l.clients, &l.atOnce, &l.first); err != nil {
		return err
	}
	l.limit = 10 * time.Second
	r, err := l.run(netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("10.9.0.1"))
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}
