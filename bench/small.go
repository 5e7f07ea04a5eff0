package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// results are all that the report needs.
type results struct {
	series        map[string]series // "tmpfs cold container"
	slipway, peer peak
	help          series
	binary        int64
	machine       []string // what it was measured on
}

// small measures the program itself.
func (b *bench) small() error {
	st, err := os.Stat(b.slipway)
	if err != nil {
		return err
	}
	b.results.binary = st.Size()
	for range 11 {
		s, _, err := b.timed(b.slipway, "--help")
		if err != nil {
			return err
		}
		b.results.help = append(b.results.help, s)
	}
	fmt.Printf("--help: %.0f ms, binary %.1f MB\n", 1000*median(b.results.help.wall()), float64(b.results.binary)/1e6)
	return nil
}

// command runs a program that is not measured.
func command(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("running %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// host describes the machine and the peers.
func (b *bench) host() error {
	kernel, err := command("uname", "-r")
	if err != nil {
		return err
	}
	cores, err := command("nproc")
	if err != nil {
		return err
	}
	mmdebstrap, err := command("mmdebstrap", "--version")
	if err != nil {
		return err
	}
	nspawn, err := command("systemd-nspawn", "--version")
	if err != nil {
		return err
	}
	nspawn, _, _ = strings.Cut(nspawn, "\n")
	fs, err := command("stat", "-f", "-c", "%T", b.work)
	if err != nil {
		return err
	}
	b.results.machine = []string{
		cores + " cores, kernel " + kernel, "disk: " + fs, mmdebstrap, nspawn, "load before: " + load(),
	}
	return nil
}

func load() string {
	data, _ := os.ReadFile("/proc/loadavg")
	if f := strings.Fields(string(data)); len(f) > 0 {
		return f[0]
	}
	return "?"
}
