package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/bootfiles/cmdline"
	"slipway/internal/sandbox"
	"slipway/internal/target/metal"
)

// The kernel starts slipway by a name that makes it come here.
func init() { sandbox.RegisterEntry(ProgramPath, Start) }

// Start is the first process of the initramfs. It does not return while the
// machine runs: its end would be the kernel's.
func Start() int {
	debug.SetGCPercent(50)
	c := newConsole()
	err := start(context.Background(), c)
	c.say("%v", err)
	c.say("this machine starts again in a minute")
	c.flush()
	time.Sleep(time.Minute)
	(&self{}).Restart()
	return 1
}

// start readies the machine, and runs the program.
func start(ctx context.Context, c *console) error {
	if err := mountAll(); err != nil {
		return err
	}
	c.open()
	data, err := os.ReadFile("/" + ConfigPath)
	if err != nil {
		return err
	}
	cfg, err := DecodeConfig(data)
	if err != nil {
		return err
	}
	words, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	line := cmdline.Parse(string(words))
	if _, fetches := line.Get(WordServer); !fetches && cfg.Server == "" && cfg.Offline == nil {
		return whole(c, cfg, line)
	}
	d, err := newDrivers()
	if err != nil {
		c.say("%v", err)
	}
	d.load("efivarfs", "loop", "overlay", "usb_storage", "uas", "sd_mod")
	d.settle(2 * time.Second)
	if err := unix.Mount("efivarfs", metal.EFIVars, "efivarfs", 0, ""); err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOENT) {
		c.say("the firmware's variables are not there: %v", err)
	}
	return runProgram(ctx, c, cfg, line, d)
}

// whole hands over to a system that the initramfs holds all of, and leaves
// behind what proves it.
func whole(c *console, cfg *Config, line cmdline.Line) error {
	s := &staying{Key: cfg.Key}
	var ok bool
	if s.Server, ok = line.Get(WordProve); !ok {
		return errors.New("the command line names no server: slipway.node= to fetch a system, slipway.prove= to prove one")
	}
	s.Version, _ = line.Get(WordVersion)
	return (&self{line: line, say: c.say}).HandOver("", s)
}

// runProgram brings the network up and runs the program on this machine.
func runProgram(ctx context.Context, c *console, cfg *Config, line cmdline.Line, d *drivers) error {
	m := &self{line: line, say: c.say, load: d.load}
	p := &program{
		cfg: cfg, machine: m, efivars: metal.EFIVars, say: c.say, now: time.Now,
		pace: 2 * time.Second, rest: 30 * time.Second, queue: make(chan Report, 64),
	}
	p.scan = &Scanner{Log: kernelLog}
	p.want, _ = line.Get(WordDo)
	p.started, _ = line.Get(WordVersion)
	p.prover, _ = line.Get(WordProve)
	if _, ok := line.Get(WordErase); ok && cfg.Offline != nil {
		cfg.Offline.Erase = true
	}
	var err error
	if p.key, err = decodeKey(cfg.Key); err != nil && cfg.Offline == nil {
		return err
	}
	if cfg.Offline != nil {
		d.settle(5 * time.Second)
		return p.run(ctx)
	}
	base := cfg.Server
	if word, ok := line.Get(WordServer); ok {
		base = word
	}
	if p.srv, err = newServer(base, c.say); err != nil {
		return err
	}
	card, err := upNetwork(ctx, c.say, d, line, cfg)
	if err != nil {
		return err
	}
	m.card, p.scan.BootMAC = card, card.mac
	c.ship(ctx, p.srv)
	logins := &logins{say: c.say, program: p, console: c}
	p.logins = logins.allow
	return p.run(ctx)
}

// mountAll mounts what shows devices.
func mountAll() error {
	for _, m := range []struct{ kind, target string }{
		{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/run"}, {"devpts", "/dev/pts"},
	} {
		os.MkdirAll(m.target, 0o755)
		if err := unix.Mount(m.kind, m.target, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	return nil
}
