package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slipway/internal/guest/wire"
	"slipway/internal/machine"
	"slipway/internal/sandbox"
	"slipway/internal/target/qemu"
	"slipway/internal/target/supervisor"
)

// The tests run a QEMU that is this test binary: it speaks QMP, and is a guest
// whose behaviour the kernel's command line chooses.

func init() {
	supervisor.Register(Driver{}, "vm", "uefi")
	sandbox.RegisterEntry("/fake/qemu", fakeQEMU)
	sandbox.Register("test.remove", func(_ context.Context, w *sandbox.Worker) error {
		var dir string
		if err := w.Args(&dir); err != nil {
			return err
		}
		return os.RemoveAll(dir)
	})
}

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// fake is one run of the pretended QEMU.
type fake struct {
	qmp, console, agent net.Conn
	args                []string
	tags                []string // of the snapshots
	job                 string   // the last
}

// conn opens the descriptor that an argument such as socket,id=qmp,fd=3 names.
func (f *fake) conn(id string) net.Conn {
	for _, a := range f.args {
		rest, ok := strings.CutPrefix(a, "socket,id="+id+",fd=")
		if !ok {
			continue
		}
		number, _, _ := strings.Cut(rest, ",")
		fd, _ := strconv.Atoi(number)
		c, err := net.FileConn(os.NewFile(uintptr(fd), id))
		if err != nil {
			panic(err)
		}
		return c
	}
	return nil
}

func (f *fake) option(name string) string {
	for i, a := range f.args {
		if a == name {
			return f.args[i+1]
		}
	}
	return ""
}

func fakeQEMU() int {
	f := &fake{args: os.Args}
	f.qmp, f.console, f.agent = f.conn("qmp"), f.conn("console"), f.conn("agent")
	fmt.Fprintln(f.qmp, `{"QMP": {"version": {"qemu": {"major": 10, "minor": 0, "micro": 0}, "package": ""}, "capabilities": []}}`)
	go io.Copy(io.Discard, f.console)
	in := json.NewDecoder(f.qmp)
	for {
		var req struct {
			Execute string `json:"execute"`
			ID      any    `json:"id"`
			Args    struct {
				ID  string `json:"job-id"`
				Tag string `json:"tag"`
			} `json:"arguments"`
		}
		if in.Decode(&req) != nil {
			return 0
		}
		id, _ := json.Marshal(req.ID)
		fmt.Fprintf(f.qmp, "{\"return\": %s, \"id\": %s}\n", f.snapshots(req.Execute, req.Args.ID, req.Args.Tag), id)
		switch req.Execute {
		case "cont":
			go f.guest(f.option("-append"))
		case "quit":
			f.end("host-qmp-quit")
		case "system_powerdown":
			f.end("guest-shutdown")
		}
	}
}

func (f *fake) end(reason string) {
	fmt.Fprintf(f.qmp, "{\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": %q}, \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}\n", reason)
	os.Exit(0)
}

func (f *fake) emit(kind, text string) {
	payload, _ := json.Marshal(wire.Event{Kind: kind, Text: text})
	wire.WriteFrame(f.agent, wire.Frame{Kind: wire.KindEvent, Payload: payload})
}

func (f *fake) guest(cmdline string) {
	fmt.Fprint(f.console, "\x1b[2J[    0.000000] Linux version 6.0-fake\r\n")
	switch {
	case strings.Contains(cmdline, "panic"):
		fmt.Fprint(f.console, "\x1b[31mwords before\x1b[0m\r\n[    1.0] Kernel panic - not syncing: no fish\r\n[    1.1] CPU: 0\r\n")
		return
	case strings.Contains(cmdline, "die"):
		os.Stderr.WriteString("the fake is broken\n")
		os.Exit(3)
	case strings.Contains(cmdline, "hang"):
		return
	}
	f.emit("stage", "kernel 0.100")
	if strings.Contains(cmdline, "no-root") {
		f.emit("error", "the root is not there")
		time.Sleep(200 * time.Millisecond)
		f.end("guest-shutdown")
	}
	frame, err := wire.ReadFrame(f.agent)
	var cfg wire.Config
	if err != nil || frame.Kind != wire.KindConfig || json.Unmarshal(frame.Payload, &cfg) != nil {
		fmt.Fprintf(f.console, "no configuration: %v\r\n", err)
		return
	}
	f.emit("stage", "root 0.200")
	s := wire.Server(f.agent, func(st *wire.Stream) { f.serve(st, frame.Payload) })
	s.Emit(wire.Event{Kind: "agent", Text: "systemd"})
	s.Emit(wire.Event{Kind: "init", Text: "systemd"})
	time.Sleep(50 * time.Millisecond)
	s.Emit(wire.Event{Kind: "notify", Text: "READY=1"})
	fmt.Fprint(f.console, "\r\nfake login: ")
}

func (f *fake) serve(st *wire.Stream, config []byte) {
	out := st.Writer(wire.Output)
	switch st.Request.Op {
	case "exec":
		switch st.Request.Args[0] {
		case "config":
			out.Write(config)
		case "args":
			out.Write([]byte(strings.Join(f.args, "\n")))
		case "write":
			disk := f.option("-blockdev") // only the first is looked at
			out.Write([]byte(disk))
		case "stay":
			out.Write([]byte("here"))
			<-st.Over()
		case "reset":
			f.end("guest-reset")
		case "panic":
			fmt.Fprint(f.console, "[   99.0] Kernel panic - not syncing: Fatal exception\r\nthe end\r\n")
		}
		out.Close()
		st.Finish(wire.Reply{})
	case "power":
		st.Finish(wire.Reply{})
		time.Sleep(50 * time.Millisecond)
		f.end("guest-shutdown")
	default:
		st.Finish(wire.Reply{})
	}
}

// fakeSpec is a machine that the fake runs; guest chooses what it does.
func fakeSpec(t *testing.T, name, guest string) supervisor.Spec {
	t.Helper()
	host, err := sandbox.Detect()
	if err != nil {
		t.Skipf("no lab here: %v", err)
	}
	dir, err := os.MkdirTemp("", "vm") // t.TempDir has a long name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // what the supervisor of a user made is not the user's
		if p, err := host.Start(context.Background(), "test.remove", dir); err == nil {
			p.Wait()
		}
		os.RemoveAll(dir)
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := programs{
		Commands: map[string]command{"qemu/qemu-system-x86_64": {Path: self, Args: []string{"/fake/qemu"}, Env: []string{}}},
		Roots:    map[string]string{"qemu": dir}, Accel: &qemu.Accel{Name: "tcg", Version: "10.0.0", Major: 10},
	}
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range map[string][]byte{"kernel": []byte("a kernel"), "disk.raw": bytes.Repeat([]byte{1}, 4<<20)} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return supervisor.Spec{
		Name: name, Target: "vm", Key: "key-1", Runtime: filepath.Join(dir, "r"), RunDir: filepath.Join(dir, "run"),
		StateDir: filepath.Join(dir, "state"), Stop: 5 * time.Second,
		Definition: &machine.Definition{Name: name, File: "/fake.yaml", Arch: "amd64", VM: machine.VM{Memory: 64 << 20}},
		Boot: &supervisor.Boot{
			Disk: filepath.Join(dir, "disk.raw"), DiskSize: 8 << 20, Kernel: filepath.Join(dir, "kernel"), Cmdline: "guest=" + guest, QEMU: data,
		},
	}
}

// start brings a machine up, and takes it down when the test ends.
func start(t *testing.T, spec supervisor.Spec) (*supervisor.Machine, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m, err := supervisor.Up(ctx, spec, nil)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := m.Down(ctx); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(spec.RunDir); err == nil && !spec.Keep {
			t.Error("the run folder is left")
		}
	})
	return m.WaitReady(ctx)
}

// ask runs a word in the fake's guest.
func ask(t *testing.T, m *supervisor.Machine, word string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, _, _, err := m.Run(ctx, word)
	if err != nil {
		t.Fatalf("%s: %v", word, err)
	}
	return string(out)
}
