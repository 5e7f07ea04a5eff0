package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"

	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// container turns this process, the first of its pid namespace, into the
// machine's init. It only returns by failing, which ends the machine.
func container() {
	// Whatever else was inherited ends here, such as this program's own file.
	unix.CloseRange(controlFD, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	unix.CloseOnExec(controlFD)
	control := os.NewFile(controlFD, "control")
	err := startContainer(control)
	event, _ := json.Marshal(wire.Event{Kind: "error", Text: err.Error()})
	wire.WriteFrame(control, wire.Frame{Kind: wire.KindEvent, Payload: event})
	os.Exit(1)
}

func startContainer(control *os.File) error {
	cfg, err := readConfig(control)
	if err != nil {
		return err
	}
	console, err := enterRoot(cfg)
	if err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(cfg.Hostname)); err != nil {
		return fmt.Errorf("setting the host name: %w", err)
	}
	if err := dropCaps(); err != nil {
		return err
	}
	if err := prepare(cfg); err != nil {
		return err
	}
	program, err := findInit(cfg.Init)
	if err != nil {
		return err
	}
	notify, err := notifySocket()
	if err != nil {
		return err
	}
	if err := startAgent(control, console, notify, initStyle(program[0]), cfg.Deadline); err != nil {
		return err
	}
	console.Close()
	notify.Close()
	return becomeInit(cfg, program)
}

func readConfig(control io.Reader) (*wire.Config, error) {
	f, err := wire.ReadFrame(control)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	var cfg wire.Config
	if f.Kind != wire.KindConfig {
		return nil, fmt.Errorf("reading the configuration: got a frame of kind %d", f.Kind)
	}
	if err := json.Unmarshal(f.Payload, &cfg); err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	if cfg.Version != wire.Version {
		return nil, fmt.Errorf("the configuration has version %d, this helper has %d", cfg.Version, wire.Version)
	}
	return &cfg, nil
}

// notifySocket makes the socket on which systemd reports how far it is.
func notifySocket() (*os.File, error) {
	if err := os.MkdirAll("/run/slipway", 0o755); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("making the notification socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: notifyPath}); err != nil {
		return nil, fmt.Errorf("binding the notification socket: %w", err)
	}
	return os.NewFile(uintptr(fd), "notify"), nil
}

const notifyPath = "/run/slipway/notify"

// startAgent leaves a child that serves the control stream.
func startAgent(control, console, notify *os.File, style string, deadline int) error {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	defer null.Close()
	_, err = os.StartProcess("/proc/self/exe", []string{"@slipway-guest", "agent", style, strconv.Itoa(deadline)}, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{},
		Files: []*os.File{null, null, null, control, console, notify},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return fmt.Errorf("starting the agent: %w", err)
	}
	return nil
}

func becomeInit(cfg *wire.Config, program []string) error {
	console, err := unix.Open("/dev/console", unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return fmt.Errorf("opening the console: %w", err)
	}
	if _, err := unix.Setsid(); err != nil && !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("starting a session: %w", err)
	}
	for fd := range 3 {
		if console != fd {
			if err := unix.Dup3(console, fd, 0); err != nil {
				return fmt.Errorf("connecting init to the console: %w", err)
			}
		}
	}
	if console > 2 {
		unix.Close(console)
	}
	env := append([]string{
		"PATH=" + defaultPath,
		"TERM=vt220",
		"container=slipway",
		"container_uuid=" + cfg.UUID,
		"NOTIFY_SOCKET=" + notifyPath,
	}, cfg.Env...)
	err = syscall.Exec(program[0], program, env)
	return fmt.Errorf("starting init %s: %w", program[0], err)
}
