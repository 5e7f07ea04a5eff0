// Command netboot measures slipway's boot servers beside the servers that
// people use now, in network namespaces and on loopback only. It is started by
// bench/netboot/run and writes bench/NETBOOT.md. A row of the page is a
// function in the table below, in files of its own.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"strings"
	"time"
)

// rows are the parts of the page, in their order.
var rows = []struct {
	name string
	run  func(*bench) (string, error)
}{
	{"dhcp", dhcpRow},
	{"boot", bootRow},
}

// bench is one run.
type bench struct {
	dir            string
	self           string // this program
	runs           int
	clients        int
	server, client string // network namespaces
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench/netboot:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{server: fmt.Sprintf("slw-bench-s%d", os.Getpid()), client: fmt.Sprintf("slw-bench-c%d", os.Getpid())}
	flag.IntVar(&b.runs, "runs", 3, "rounds")
	flag.IntVar(&b.clients, "clients", 1000, "machines")
	only := flag.String("rows", "", "rows to measure, with commas; default: all")
	dir := flag.String("dir", "/var/tmp", "where the servers keep their files: a disk, not memory")
	out := flag.String("out", "bench/NETBOOT.md", "where the results are written")
	serve := flag.String("serve-dhcp", "", "serve DHCP with this lease file (used by the row)")
	boot := flag.String("boot", "", "start a machine from each (used by the row)")
	loading := flag.String("load-dhcp", "", "play machines (used by the row)")
	flag.Parse()
	switch {
	case *serve != "":
		return serveDHCP(*serve)
	case *boot != "":
		b.dir = *dir
		return b.boots(*boot)
	case *loading != "":
		return loadDHCP(*loading)
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(*dir, "slipway-netboot-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	var text strings.Builder
	fmt.Fprintf(&text, "# Boot servers beside their peers\n\nMade by `bench/netboot/run` on %s, %d processors, in network namespaces, %d rounds, one server after the other in each.\n",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), b.runs)
	for _, r := range rows {
		if *only != "" && !strings.Contains(","+*only+",", ","+r.name+",") {
			continue
		}
		part, err := r.run(b)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Fprintf(&text, "\n%s", part)
	}
	fmt.Print(text.String())
	return os.WriteFile(*out, []byte(text.String()), 0o644)
}

// namespaces makes two of them, joined by a pair of interfaces.
func (b *bench) namespaces() error {
	for _, args := range []string{
		"netns add " + b.server, "netns add " + b.client,
		"link add " + serverLink + " netns " + b.server + " type veth peer name " + clientLink + " netns " + b.client,
		"-n " + b.server + " address add 10.9.0.1/16 dev " + serverLink, "-n " + b.server + " link set lo up", "-n " + b.server + " link set " + serverLink + " up",
		"-n " + b.client + " address add 10.9.0.2/16 dev " + clientLink, "-n " + b.client + " link set lo up", "-n " + b.client + " link set " + clientLink + " up",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			b.dismantle()
			return fmt.Errorf("ip %s: %w %s", args, err, out)
		}
	}
	return nil
}

func (b *bench) dismantle() {
	exec.Command("ip", "netns", "del", b.server).Run()
	exec.Command("ip", "netns", "del", b.client).Run()
}

// inside prepares a program in a namespace.
func (b *bench) inside(ns, program string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns, program}, args...)...)
	cmd.Stderr = os.Stderr
	if program != b.self {
		if _, err := exec.LookPath(program); err != nil {
			cmd.Err = err
		}
		cmd.Stderr = nil
	}
	return cmd
}

// cpuProfile begins one; the function ends it.
func cpuProfile(path string) func() {
	f, err := os.Create(path)
	if err != nil {
		return func() {}
	}
	pprof.StartCPUProfile(f)
	return func() { pprof.StopCPUProfile(); f.Close() }
}
