// Command bench measures slipway beside its peers: mmdebstrap for builds,
// systemd-nspawn for starting a machine. Both get the same packages, in the
// same run, from the same mirror on the loopback interface, and the figures
// that count are ratios.
//
// It is started by bench/run and writes bench/RESULTS.md. It is no part of the
// product: nothing of slipway depends on it or on the peers.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// settings are the flags and what follows from them.
type settings struct {
	runs, diskRuns int
	partial        bool // not worth keeping
	rows           map[string]bool
	disks          []disk
	work           string // bench/work
	out            string
}

// disk is a filesystem to build on.
type disk struct {
	name string
	dir  string
	keep bool // delete nothing before the end: see README
}

// allRows in the order in which they run.
var allRows = []string{"memory", "cold", "userland", "added", "second", "changed", "nothing", "alpine", "up", "small"}

func run() (err error) {
	s := settings{rows: map[string]bool{}}
	quick := flag.Bool("quick", false, "one run of each row, in memory only")
	rows := flag.String("rows", strings.Join(allRows, ","), "rows to measure")
	disks := flag.String("fs", "tmpfs,disk", "filesystems to build on")
	flag.IntVar(&s.runs, "runs", 3, "runs of each row")
	flag.IntVar(&s.diskRuns, "disk-runs", 3, "runs of each row on the second filesystem")
	flag.StringVar(&s.work, "work", "bench/work", "folder for the mirror and the builds on disk")
	flag.StringVar(&s.out, "out", "bench/RESULTS.md", "where the results are written")
	flag.Parse()
	if *quick {
		s.runs, *disks = 1, "tmpfs"
	}
	s.partial = *quick || *rows != strings.Join(allRows, ",")
	if s.work, err = filepath.Abs(s.work); err != nil {
		return err
	}
	for _, r := range strings.Split(*rows, ",") {
		s.rows[r] = true
	}
	mirror, err := startMirror(filepath.Join(s.work, "mirror"))
	if err != nil {
		return err
	}
	defer mirror.close()
	b := &bench{settings: s, mirror: mirror, slipway: filepath.Join(s.work, "slipway")}
	if err := b.prepare(*disks); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.clean()) }()
	if err := b.measure(); err != nil {
		return err
	}
	return b.report(os.Stdout)
}
