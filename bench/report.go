package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// row is one line of the table.
type row struct {
	work      string
	us, peer  string // series, without the filesystem
	peerName  string
	must, aim float64 // of the ratio; without a peer, seconds
}

var table = []row{
	{"cold build to a tree, bootable set, no initramfs", "cold container", "cold mmdebstrap", "mmdebstrap (with initramfs)", 0.55, 0.30},
	{"the same, with an initramfs", "cold plain", "cold mmdebstrap", "mmdebstrap (with initramfs)", 0, 0},
	{"cold build, userland set (no kernel)", "userland container", "userland mmdebstrap", "mmdebstrap", 0.60, 0.35},
	{"bootable set in the store, one package added", "added slipway", "added mmdebstrap", "mmdebstrap", 0.30, 0.10},
	{"second machine, nine of ten packages shared", "second shared", "second cold", "its own cold build", 0.50, 0.30},
	{"one file of `files:` changed", "changed slipway", "", "", 0.5, 0.1},
	{"nothing changed", "nothing slipway", "", "", 0.15, 0.03},
	{"Alpine: 53 packages from a folder, store empty", "alpine cold", "alpine apk", "apk add --root", 1.0, 0.5},
	{"Alpine: the same packages in the store, no tree of them", "alpine stored", "alpine apk", "apk add --root", 1.0, 0.5},
	{"`up` of a built machine to all probes passed", "up slipway", "up nspawn", "ssh-keygen -A, systemd-nspawn -b", 1.1, 0.8},
	{"the same, against a tree that has its keys", "up slipway", "up nspawn without keys", "systemd-nspawn -b", 0, 0},
}

// report writes the results; partial ones only to w.
func (b *bench) report(w io.Writer) error {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Results\n\nMade by `bench/run` (`make bench`) on %s.\n%s; load after: %s.\n\n",
		time.Now().UTC().Format(time.DateOnly), strings.Join(b.results.machine, "; "), load())
	b.tables(&out)
	b.sizes(&out)
	b.traffic(&out)
	// What the figures cannot say themselves is kept by hand, beside them.
	remarks, err := os.ReadFile(filepath.Join(filepath.Dir(b.out), "remarks.md"))
	if err != nil {
		return err
	}
	out.WriteString("\n" + string(remarks))
	if _, err = w.Write(out.Bytes()); err != nil || b.partial {
		return err
	}
	return os.WriteFile(b.out, out.Bytes(), 0o644)
}

func (b *bench) tables(out io.Writer) {
	fmt.Fprint(out, "Seconds are medians (lowest to highest) of wall time; \"cpu\" is user and system time of all processes.\n\n")
	fmt.Fprint(out, "| work | on | slipway s | cpu s | peer s | cpu s | ratio | must | aim | |\n|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range table {
		for _, d := range b.disks {
			us, peer := b.results.series[d.name+" "+r.us], b.results.series[d.name+" "+r.peer]
			if len(us) == 0 {
				continue
			}
			fmt.Fprintf(out, "| %s | %s, %d runs | %s | %s |", r.work, d.name, len(us), spread(us.wall()), figure(median(us.cpu())))
			value := median(us.wall())
			if len(peer) > 0 {
				value /= median(peer.wall())
				fmt.Fprintf(out, " %s: %s | %s | **%.2f** |", r.peerName, spread(peer.wall()), figure(median(peer.cpu())), value)
			} else {
				fmt.Fprint(out, " | | |")
			}
			fmt.Fprintln(out, " "+verdict(value, r, len(peer) > 0))
		}
	}
}

func verdict(value float64, r row, ratio bool) string {
	unit := " s"
	if ratio {
		unit = " ×"
	}
	if r.must == 0 {
		return "| | |"
	}
	word := "missed"
	if value <= r.must {
		word = "met"
	}
	if value <= r.aim {
		word = "aim met"
	}
	return fmt.Sprintf("%g%s | %g%s | %s |", r.must, unit, r.aim, unit, word)
}

// figure is a time that may not have been taken.
func figure(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", seconds)
}

func spread(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	digits := 2
	if median(v) < 1 {
		digits = 3
	}
	return fmt.Sprintf("%.*f (%.*f to %.*f)", digits, median(v), digits, v[0], digits, v[len(v)-1])
}

func (b *bench) sizes(out io.Writer) {
	if b.results.slipway.all > 0 {
		fmt.Fprintf(out, "\nPeak memory of the cold build (PSS, sampled every 20 ms, one run): slipway itself %d MiB (must 250, aim 120), with all children %d MiB (must 400, aim 200); mmdebstrap with all children %d MiB.\n",
			b.results.slipway.self>>20, b.results.slipway.all>>20, b.results.peer.all>>20)
	}
	if len(b.results.help) > 0 {
		fmt.Fprintf(out, "\n`slipway --help`: %.0f ms (must 50); the program: %.1f MB (must 40).\n",
			1000*median(b.results.help.wall()), float64(b.results.binary)/1e6)
	}
}

// traffic says what was fetched: the mirror is so near that time says nothing
// about it.
func (b *bench) traffic(out io.Writer) {
	fmt.Fprint(out, "\n| fetched | MB | requests |\n|---|---|---|\n")
	for _, what := range []string{"cold container", "cold mmdebstrap", "userland container", "userland mmdebstrap", "added slipway", "second shared", "changed slipway", "nothing slipway"} {
		if s := b.results.series[b.disks[0].name+" "+what]; len(s) > 0 {
			last := s[len(s)-1]
			fmt.Fprintf(out, "| %s | %.1f | %d |\n", what, float64(last.bytes)/1e6, last.requests)
		}
	}
}
