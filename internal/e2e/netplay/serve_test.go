package netplay

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"slipway/internal/fleet"
	"slipway/internal/web"
)

// serveChild serves a setup in a process of its own, until it is killed.
func serveChild(config string) {
	var c setup
	s := (*server)(nil)
	err := json.Unmarshal([]byte(config), &c)
	if err == nil {
		s, err = c.open(context.Background(), fleet.SinkFunc(func(e fleet.Event) { fmt.Println(line(e)) }))
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	fmt.Println("ready")
	fmt.Println("ended:", <-s.done)
}

// process is a server that can be killed.
type process struct {
	w     *world
	setup setup
	cmd   *exec.Cmd
}

// newProcess starts one, with records on the disk.
func newProcess(t testing.TB, netboot string) (*process, *world) {
	t.Helper()
	w := &world{t: t, lan: newSegment(t)}
	c := newSetup(t, w.lan, netboot)
	c.State = t.TempDir()
	p := &process{w: w, setup: c}
	p.start()
	t.Cleanup(p.kill)
	return p, w
}

// start starts it and waits until it answers.
func (p *process) start() {
	p.w.t.Helper()
	config, err := json.Marshal(p.setup)
	ok(p.w.t, err)
	p.cmd = exec.Command("/proc/self/exe")
	p.cmd.Env = append(os.Environ(), serving+"="+string(config))
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	p.cmd.Stderr = os.Stderr
	out, err := p.cmd.StdoutPipe()
	ok(p.w.t, err, p.cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() && lines.Text() != "ready" {
		if strings.HasPrefix(lines.Text(), "failed") {
			p.w.t.Fatal(lines.Text())
		}
	}
	go func() {
		for lines.Scan() {
		}
	}()
}

// kill ends it as a power cut would, as far as a process can tell.
func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// machine asks its page, as this host may.
func (p *process) machine() (d web.Detail) {
	p.w.t.Helper()
	resp, err := http.Get("http://" + p.w.lan.prefix.Addr().String() + "/api/machines/" + name)
	ok(p.w.t, err)
	defer resp.Body.Close()
	ok(p.w.t, json.NewDecoder(resp.Body).Decode(&d))
	return d
}
