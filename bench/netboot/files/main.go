// Command files measures slipway's HTTP and TFTP servers beside nginx and
// dnsmasq, on the loopback interface of a network namespace of its own. It is
// started by bench/netboot/files/run and writes bench/NETBOOT-FILES.md.
//
// The server runs on one processor and the clients on another, the same for
// all. Servers take turns in every round.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/fleet"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/tftp"
)

const (
	httpPort = "8080"
	peerPort = "8081"
)

// rows are the parts of the page.
var rows = []struct {
	name string
	run  func(string, int, time.Duration) (string, error)
}{{"http", httpRow}, {"tftp", tftpRow}, {"memory", memoryRow}}

func main() {
	runs := flag.Int("runs", 5, "rounds")
	length := flag.Duration("time", 3*time.Second, "of one measurement of HTTP")
	only := flag.String("rows", "", "http,tftp,memory; default: all")
	serve := flag.String("serve", "", "serve this folder (used by the bench)")
	out := flag.String("out", "bench/NETBOOT-FILES.md", "where the results are written")
	flag.Parse()
	err := error(nil)
	if *serve != "" {
		err = serveFolder(*serve)
	} else {
		err = measure(*runs, *length, *only, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench/netboot/files:", err)
		os.Exit(1)
	}
}

// pin keeps this process on one processor, where there are several.
func pin(cpu int) error {
	if runtime.NumCPU() < 2 {
		return nil
	}
	var set unix.CPUSet
	set.Set(cpu)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, task := range tasks {
		var id int
		fmt.Sscan(task.Name(), &id)
		if err := unix.SchedSetaffinity(id, &set); err != nil {
			return err
		}
	}
	return nil
}

// serveFolder is slipway's server as it is by default, told events included.
func serveFolder(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if profile := os.Getenv("SLIPWAY_CPUPROFILE"); profile != "" {
		f, err := os.Create(profile)
		if err != nil {
			return err
		}
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	told := 0
	sink := fleet.SinkFunc(func(e fleet.Event) {
		told++
		if e.Problem != "" && os.Getenv("SLIPWAY_BENCH_TELL") != "" {
			fmt.Fprintln(os.Stderr, e.Kind, e.Problem, e.Fields)
		}
	})
	all := &boothttp.Artefacts{}
	a, err := all.Add(filepath.Join(dir, "image"), "", "", false)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "path"), []byte(a.Path()), 0o644); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:"+httpPort)
	if err != nil {
		return err
	}
	c, err := net.ListenPacket("udp4", "127.0.0.1:69")
	if err != nil {
		return err
	}
	go (&tftp.Server{PerClient: 4096, Sink: sink, Open: func(_ context.Context, q tftp.Request) (tftp.Answer, error) {
		f, err := tftp.OpenFile(root, q.Name)
		return tftp.Answer{File: f}, err
	}}).Serve(ctx, c)
	return (&boothttp.Server{Artefacts: all, PerClient: 4096, Sink: sink}).Serve(ctx, l)
}

// measure plays the clients and writes the page.
func measure(runs int, length time.Duration, only, out string) error {
	dir, err := os.MkdirTemp("/dev/shm", "slipway-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		return err
	}
	if err := pin(runtime.NumCPU() - 1); err != nil {
		return err
	}
	var page strings.Builder
	fmt.Fprintf(&page, `# Serving boot files beside nginx and dnsmasq

Made by `+"`bench/netboot/files/run`"+` on %s, %d rounds in which the servers take turns: the median and its spread. The server has
one processor and the clients another, files are in memory (tmpfs), the network is a loopback interface with an MTU of
1500. Processor time is the server's own: compare that first where other programs run, for seconds then depend on how
large a share of its processor a server was given, and one with several threads is given more.

`, time.Now().Format(time.DateOnly), runs)
	for _, row := range rows {
		if only != "" && !strings.Contains(only, row.name) {
			continue
		}
		text, err := row.run(dir, runs, length)
		if err != nil {
			return err
		}
		fmt.Print(text)
		page.WriteString(text)
	}
	return os.WriteFile(out, []byte(page.String()), 0o644)
}

// prepare writes an image, and a loader as long as iPXE.
func prepare(dir string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7 >> 3)
	}
	image := slices.Repeat(block, 64)
	if err := os.WriteFile(filepath.Join(dir, "image"), image, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "ipxe.efi"), image[:1_111_040], 0o644)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

func spread(v []float64, format string) string {
	return fmt.Sprintf(format+" ("+format+" to "+format+")", median(v), slices.Min(v), slices.Max(v))
}
