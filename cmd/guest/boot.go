package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/cmdline"
	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// booter is the first process of an initramfs of ours.
type booter struct {
	cfg    *bootfiles.Config
	line   cmdline.Line
	mods   *loader
	news   *uevents
	port   *port        // nil: nobody listens
	host   *wire.Config // what the port said; empty without one
	stages []wire.Event // reached before there was a port
	inRAM  bool         // the initramfs is the machine's root

	loading sync.WaitGroup // modules on their way that nothing waits for
}

// newRoot is where the machine's root is mounted before it becomes the root.
const newRoot = "/newroot"

// inInitramfs tells whether this program is the /init that slipway made.
func inInitramfs() bool {
	if os.Getpid() != 1 {
		return false
	}
	_, err := os.Stat("/" + bootfiles.ConfigPath)
	return err == nil
}

// boot brings the machine up to its own init. It only comes back to life as
// that program, or stays for an emergency.
func boot() {
	b := &booter{host: &wire.Config{}}
	b.emergency(b.run())
}

func (b *booter) run() error {
	b.stage("kernel")
	if err := b.prepare(); err != nil {
		return err
	}
	for _, step := range []func() error{b.loadFirst, b.findPort, b.mountRoot} {
		if err := step(); err != nil {
			return err
		}
	}
	b.stage("root")
	b.loading.Go(b.mods.rest)
	for _, step := range []func() error{b.hear, b.mountState, b.mountShares, b.network, b.switchRoot, b.settle} {
		if err := step(); err != nil {
			return err
		}
	}
	return b.handOver()
}

// prepare mounts what every program needs and reads what this boot is about.
func (b *booter) prepare() error {
	if err := mountBase(); err != nil {
		return err
	}
	data, err := os.ReadFile("/" + bootfiles.ConfigPath)
	if err != nil {
		return err
	}
	if b.cfg, err = bootfiles.Decode(data); err != nil {
		return err
	}
	text, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	b.line = cmdline.Parse(string(text))
	b.mods, err = newLoader()
	if b.rootSpec() == "ram" && err == nil {
		b.mods.restrict(b.cfg.Target)
	}
	return err
}

// loadFirst loads what is wanted in any case and what the devices that are
// there already ask for.
func (b *booter) loadFirst() error {
	var err error
	if b.news, err = listenUevents(); err != nil {
		return err
	}
	b.loading.Go(func() {
		for _, name := range b.cfg.Load {
			if err := b.mods.load(name); err != nil {
				say("%v", err)
			}
		}
	})
	b.mods.coldplug()
	b.follow(0)
	return nil
}

// follow loads drivers for the devices that appear, until none did for a while.
func (b *booter) follow(quiet time.Duration) {
	for {
		aliases := b.news.wait(quiet)
		if len(aliases) == 0 {
			return
		}
		for _, alias := range aliases {
			b.mods.device(alias)
		}
	}
}

// stage tells the host how far the machine is, by the clock that started with
// the kernel.
func (b *booter) stage(name string) { b.emit(stageEvent(name)) }

func stageEvent(name string) wire.Event {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	seconds := float64(ts.Sec) + float64(ts.Nsec)/1e9
	return wire.Event{Kind: "stage", Text: name + " " + strconv.FormatFloat(seconds, 'f', 3, 64)}
}

func (b *booter) emit(e wire.Event) {
	if b.port == nil {
		b.stages = append(b.stages, e)
		return
	}
	b.flush()
	b.port.emit(e)
}

// flush tells what was reached before there was a port.
func (b *booter) flush() {
	for _, old := range b.stages {
		b.port.emit(old)
	}
	b.stages = nil
}

// settle does inside the root what makes it this machine: the host's wishes on
// top of what the image says.
func (b *booter) settle() error {
	if b.host.Hostname != "" {
		if err := unix.Sethostname([]byte(b.host.Hostname)); err != nil {
			return fmt.Errorf("setting the host name: %w", err)
		}
	}
	cfg := &wire.Config{Files: b.host.Files, Mint: b.host.Mint}
	for _, m := range b.cfg.Mint {
		cfg.Mint = append(cfg.Mint, wire.Mint(m))
	}
	err := prepare(cfg)
	if errors.Is(err, unix.EROFS) && unix.Mount("", "/", "", unix.MS_REMOUNT, "") == nil {
		// Mounted read-only because the command line says so.
		err = errors.Join(prepare(cfg), unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	}
	if errors.Is(err, unix.EROFS) {
		b.warn("the root is read-only and stays as it was built (slipway.overlay=tmpfs makes it writable): %v", err)
		return nil
	}
	return err
}

// say writes a line on the machine's console.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "slipway: "+format+"\n", args...)
}
