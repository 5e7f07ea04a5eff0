package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"slipway/internal/distro/deb"
	"slipway/internal/store"
	"slipway/internal/target/qemu"
	"slipway/internal/target/qemu/link"
	"slipway/internal/tools"
)

// The machine that is switched on: a kernel and one program in memory, which
// says on the console that it runs.
const (
	bootWord    = "afloat in memory"
	bootProgram = `package main

import (
	"fmt"
	"time"
)

func main() {
	fmt.Println("` + bootWord + `")
	time.Sleep(time.Hour)
}
`
	bootMAC     = "52:54:00:00:0b:01"
	bootAddress = "192.0.2.50"
	bootServer  = "192.0.2.1"
	bootBridge  = "lan0"
	bootMachine = `slipway: v1
name: tiny
system: debian/trixie
arch: amd64
init: /server
files:
  - {path: /server, from: ./server, mode: "0755"}
kernel: {package: linux-image-cloud-amd64}
boot: {ram: init, loader: none}
netboot: {match: {mac: "` + bootMAC + `"}, address: ` + bootAddress + `}
`
	nginxConfig = `daemon off;
pid %[1]s/nginx.pid;
error_log stderr;
events { worker_connections 512; }
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	server { listen ` + bootServer + `:80; root %[1]s; }
}
`
)

// bootResult is a round: seconds from power-on to the program's word.
type bootResult struct{ Slipway, Peer float64 }

// bootRow measures from power-on under UEFI to a system in memory that runs.
func bootRow(b *bench) (string, error) {
	if err := b.prepareBoot(); err != nil {
		return "", err
	}
	var ours, theirs []float64
	for round := range b.runs {
		out, err := exec.Command("ip", "netns", "add", b.server).CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("ip netns add: %w %s", err, out)
		}
		cmd := b.inside(b.server, b.self, "-boot", fmt.Sprint(round%2), "-dir", b.dir)
		text, err := cmd.Output()
		exec.Command("ip", "netns", "del", b.server).Run()
		var r bootResult
		if err = errors.Join(err, json.Unmarshal(text, &r)); err != nil {
			return "", err
		}
		ours, theirs = append(ours, r.Slipway), append(theirs, r.Peer)
	}
	return fmt.Sprintf("## UEFI: power-on to a system in memory that runs\n\n"+
		"One emulated machine (OVMF, iPXE's snponly.efi, one processor) with a kernel and one program, %d rounds, who begins\n"+
		"alternates; both send the same loader, kernel and initrd. Seconds until the program speaks:\n\n"+
		"| slipway | dnsmasq (DHCP, TFTP) and nginx | ratio |\n|---|---|---|\n| %s | %s | %.2f |\n",
		b.runs, spread(ours, "%.1f"), spread(theirs, "%.1f"), median(ours)/median(theirs)), nil
}

// prepareBoot fetches and builds all that comes from outside: a namespace has
// no way there.
func (b *bench) prepareBoot() error {
	program := filepath.Join(b.dir, "program.go")
	if err := errors.Join(os.WriteFile(filepath.Join(b.dir, "tiny.yaml"), []byte(bootMachine), 0o644), os.WriteFile(program, []byte(bootProgram), 0o644)); err != nil {
		return err
	}
	for _, args := range [][]string{{"-o", filepath.Join(b.dir, "server"), program}, {"-o", filepath.Join(b.dir, "slipway"), "./cmd/slipway"}} {
		if out, err := exec.Command("go", append([]string{"build"}, args...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("go build: %w %s", err, out)
		}
	}
	cmd := b.slipway("build", filepath.Join(b.dir, "tiny.yaml"), "--for", "bootable")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("slipway build: %w %s", err, out)
	}
	t, done, err := b.tools()
	if err != nil {
		return err
	}
	defer done()
	loaders, err := t.IPXE(context.Background())
	if err != nil {
		return err
	}
	if err := t.Ensure(context.Background(), "qemu"); err != nil {
		return err
	}
	return copyFile(loaders["snponly.efi"], filepath.Join(b.dir, "snponly.efi"))
}

func (b *bench) slipway(args ...string) *exec.Cmd {
	return exec.Command(filepath.Join(b.dir, "slipway"), append(args, "--store", filepath.Join(b.dir, "store"))...)
}

func (b *bench) tools() (*tools.Tools, func() error, error) {
	s, err := store.Open(filepath.Join(b.dir, "store"), store.Options{})
	if err != nil {
		return nil, nil, err
	}
	return tools.Open(context.Background(), tools.Deps{Store: s, Family: deb.New(s)}), s.Close, nil
}

// boots is what runs in the namespace: one start of each.
func (b *bench) boots(first string) error {
	for _, args := range []string{"link set lo up", "link add " + bootBridge + " type bridge", "address add " + bootServer + "/24 dev " + bootBridge, "link set " + bootBridge + " up"} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w %s", args, err, out)
		}
	}
	var r bootResult
	arms := []func() error{
		func() (err error) { r.Slipway, err = b.bootFrom(b.slipwayServers); return err },
		func() (err error) { r.Peer, err = b.bootFrom(b.peerServers); return err },
	}
	if first == "1" {
		arms[0], arms[1] = arms[1], arms[0]
	}
	for _, arm := range arms {
		if err := arm(); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// slipwayServers is one process; it is ready when the machine's system is.
func (b *bench) slipwayServers() ([]*exec.Cmd, error) {
	cmd := b.slipway("serve", filepath.Join(b.dir, "tiny.yaml"), "--interface", bootBridge, "--offline")
	r, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var said strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		said.Write(buf[:n])
		if text := said.String(); strings.Contains(text, "tiny is ready") && strings.Contains(text, "serving ") {
			break
		}
		if err != nil {
			return []*exec.Cmd{cmd}, fmt.Errorf("serve ended: %s", said.String())
		}
	}
	go io.Copy(io.Discard, r)
	return []*exec.Cmd{cmd}, b.peerFiles()
}

// peerFiles takes kernel, initrd and command line of what slipway serves.
func (b *bench) peerFiles() error {
	found, _ := filepath.Glob(filepath.Join(b.dir, "store/images/*/tree/boot.json"))
	var made struct{ Key, Kernel, Cmdline string }
	for _, name := range found {
		data, err := os.ReadFile(name)
		if err != nil || json.Unmarshal(data, &made) != nil || made.Cmdline == "" {
			continue
		}
		initrds, _ := filepath.Glob(filepath.Join(b.dir, "store/serve/initrd-"+made.Key[:16]))
		if len(initrds) != 1 {
			continue
		}
		script := fmt.Sprintf("#!ipxe\nkernel http://%[1]s/vmlinuz %[2]s initrd=initrd\ninitrd http://%[1]s/initrd\nboot\n", bootServer, made.Cmdline)
		return errors.Join(copyFile(filepath.Join(filepath.Dir(name), made.Kernel), filepath.Join(b.dir, "vmlinuz")),
			copyFile(initrds[0], filepath.Join(b.dir, "initrd")), os.WriteFile(filepath.Join(b.dir, "boot.ipxe"), []byte(script), 0o644))
	}
	return errors.New("no system in memory is in the store")
}

func copyFile(from, to string) error {
	if out, err := exec.Command("cp", "--no-preserve=mode", from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("cp: %w %s", err, out)
	}
	return nil
}

// peerServers are dnsmasq and nginx with those files.
func (b *bench) peerServers() ([]*exec.Cmd, error) {
	config := filepath.Join(b.dir, "nginx.conf")
	if err := errors.Join(os.WriteFile(config, fmt.Appendf(nil, nginxConfig, b.dir), 0o644), os.Chmod(b.dir, 0o755)); err != nil {
		return nil, err
	}
	cmds := []*exec.Cmd{
		exec.Command("dnsmasq", "-k", "--conf-file=/dev/null", "--port=0", "--interface="+bootBridge, "--bind-interfaces", "--dhcp-leasefile="+filepath.Join(b.dir, "leases"), "--user=root",
			"--dhcp-range=192.0.2.10,192.0.2.60,1h", "--dhcp-host="+bootMAC+","+bootAddress, "--enable-tftp", "--tftp-root="+b.dir,
			"--dhcp-match=set:ipxe,175", "--dhcp-boot=tag:!ipxe,snponly.efi", "--dhcp-boot=tag:ipxe,http://"+bootServer+"/boot.ipxe"),
		exec.Command("nginx", "-c", config, "-p", b.dir),
	}
	for i, cmd := range cmds {
		if err := cmd.Start(); err != nil {
			return cmds[:i], err
		}
	}
	time.Sleep(time.Second)
	return cmds, nil
}

// bootFrom starts servers, then the machine, and gives the time to its page.
func (b *bench) bootFrom(start func() ([]*exec.Cmd, error)) (float64, error) {
	servers, err := start()
	defer func() {
		for _, cmd := range servers {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
	}()
	if err != nil {
		return 0, err
	}
	t, done, err := b.tools()
	if err != nil {
		return 0, err
	}
	defer done()
	cable, err := link.Open(bootBridge, "tiny")
	if err != nil {
		return 0, err
	}
	defer cable.Close()
	mac, err := net.ParseMAC(bootMAC)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp(b.dir, "vm-")
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	begin := time.Now()
	vm, err := qemu.Start(ctx, qemu.Config{
		Programs: t, Name: "tiny", RunDir: dir, Memory: 256 << 20, NoAgent: true, Boot: qemu.Boot{Firmware: "uefi", Network: "pxe"},
		NICs: []qemu.NIC{{MAC: mac, Tap: cable.Tap, Stream: cable.Stream, Boot: 1, NoROM: true}},
	})
	if err != nil {
		return 0, err
	}
	defer vm.Quit(context.WithoutCancel(ctx))
	defer vm.Console.Close()
	stop := context.AfterFunc(ctx, func() { vm.Console.Close() })
	defer stop()
	for lines := bufio.NewScanner(vm.Console); lines.Scan(); {
		if strings.Contains(lines.Text(), bootWord) {
			return time.Since(begin).Seconds(), nil
		}
	}
	return 0, errors.New("the machine's program did not run within 10 minutes")
}
