package netboot

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// versioned is a machine in memory that is what its word says.
const versioned = `slipway: v1
name: one
system: debian/trixie
arch: amd64
init: /program
files:
  - {path: /program, from: %PROGRAM%, mode: "0755"}
  - {path: /word, content: "%WORD%"}
kernel: {package: linux-image-cloud-amd64}
boot: {loader: none}
vm: {cpus: 1, memory: 768M}
netboot: {initrd: small, firmware: bios, address: 192.0.2.%HOST%, prove_within: 8s, match: {mac: "%MAC%"}}
probes:
  - {name: word, http: {url: "http://machine:80/", contains: "works"}, within: 2s}
`

// speaker is its program: it takes its address and says its word. Each test has
// an address of its own: leases outlive them.
const speaker = `package main

import (
	"encoding/binary"
	"net/http"
	"os"
	"syscall"
	"unsafe"
)

func set(fd int, request uintptr, value []byte) {
	var r [40]byte
	copy(r[:], "eth0")
	copy(r[16:], value)
	if _, _, err := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&r))); err != 0 {
		println("ioctl", request, err.Error())
	}
}

func address(a, b, c, d byte) []byte {
	return append(binary.NativeEndian.AppendUint16(nil, syscall.AF_INET), 0, 0, a, b, c, d)
}

func main() {
	fd, _ := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM, 0)
	set(fd, syscall.SIOCSIFADDR, address(192, 0, 2, %HOST%))
	set(fd, syscall.SIOCSIFNETMASK, address(255, 255, 255, 0))
	set(fd, syscall.SIOCSIFFLAGS, binary.NativeEndian.AppendUint16(nil, syscall.IFF_UP))
	word, _ := os.ReadFile("/word")
	println("says", string(word))
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Write(word) })
	println(http.ListenAndServe(":80", nil).Error())
}
`

// TestBootNetbootVersions publishes a version that works, one that does not,
// and sees the machine go back to the first when its power was cut, from a
// server that was started anew.
func TestBootNetbootVersions(t *testing.T) {
	kit.Tier(t, "boot")
	const mac = "52:54:00:00:0d:01"
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "records")
	file := filepath.Join(dir, "one.yaml")
	host := strings.NewReplacer("%HOST%", "51")
	program := compile(t, host.Replace(speaker))
	publish := func(word string) {
		must(t, os.WriteFile(file, []byte(strings.NewReplacer("%PROGRAM%", program, "%WORD%", word, "%MAC%", mac).Replace(host.Replace(versioned))), 0o644))
	}
	publish("works")
	l := newLAN(t, dir)
	serve := func() (stop func()) {
		return l.start(l.w.Command(context.Background(), "serve", dir, "--offline", "--interface", bridge, "--state", state))
	}
	stop := serve()
	l.sees("one is ready", 1)
	disk := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 64<<20))
	boot := func(evidence string, times int) {
		t.Helper()
		begin := time.Now()
		console, off := l.powerOn("one", mac, "bios", disk, 768<<20)
		defer off()
		defer func() {
			if t.Failed() {
				t.Log(console)
			}
		}()
		l.sees(evidence, times)
		t.Logf("%q %s after power-on", evidence, time.Since(begin).Round(100*time.Millisecond))
	}
	boot("version.proven", 1)
	publish("does not")
	l.sees("one is ready", 2)
	boot(`with "works"; last seen`, strings.Count(l.out.String(), `with "works"; last seen`)+1)
	stop()
	stop = serve()
	defer func() { stop() }()
	l.sees("one is ready", 3)
	boot("version.proven", 2)
	if !strings.Contains(l.out.String(), "version.back") {
		t.Error("nothing says that the last good version took the newest one's place")
	}
	out, err := l.w.Command(context.Background(), "boot", "why", "one", "--state", state).CombinedOutput()
	if text := string(out); err != nil || !strings.Contains(text, "one is proven") || !strings.Contains(text, "the last good version") {
		t.Errorf("boot why: %v\n%s", err, text)
	}
	if t.Failed() {
		t.Log(l.out.String())
	}
}

// TestBootNetbootStick starts a machine from a stick that the running server
// gave a token, by a fixed address and without DHCP, and has it prove itself.
func TestBootNetbootStick(t *testing.T) {
	kit.Tier(t, "boot")
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "records")
	file, out := filepath.Join(dir, "one.yaml"), filepath.Join(t.TempDir(), "stick.raw")
	host := strings.NewReplacer("%HOST%", "52")
	text := strings.NewReplacer("%PROGRAM%", compile(t, host.Replace(speaker)), "%WORD%", "works", "%MAC%", "52:54:00:00:0d:02", "boot: {loader: none}", "boot: {firmware: [bios]}").Replace(host.Replace(versioned))
	must(t, os.WriteFile(file, []byte(text), 0o644))
	l := newLAN(t, dir)
	run := func(args ...string) string {
		t.Helper()
		text, err := l.w.Command(context.Background(), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("slipway %s: %v\n%s", strings.Join(args, " "), err, text)
		}
		return string(text)
	}
	serve := func() (stop func()) {
		return l.start(l.w.Command(context.Background(), "serve", dir, "--offline", "--no-dhcp", "--interface", bridge, "--state", state))
	}
	stop := serve()
	l.sees("one is ready", 1)
	run("stick", file, "-o", out, "--offline", "--serve", "--state", state, "--ip", "192.0.2.52::192.0.2.1:255.255.255.0")
	stop() // its token outlives the server
	serve()
	l.sees("one is ready", 2)
	console, off := l.powerOn("one", "52:54:00:00:0d:02", "bios", out, 768<<20)
	defer off()
	l.shows(console, "says works")
	l.sees("version.proven", 1)
	fields := strings.Fields(run("boot", "sticks", "--state", state))
	if len(fields) < 10 || fields[6] != "one" || fields[len(fields)-1] != "192.0.2.52" {
		t.Fatalf("listed are %q", fields)
	}
	run("boot", "sticks", "--revoke", fields[5], "--state", state)
	if text := run("boot", "sticks", "--state", state); strings.Contains(text, "one") {
		t.Errorf("after it was revoked:\n%s", text)
	}
}

// sees waits until the servers have printed a text so many times.
func (l *lan) sees(text string, times int) {
	l.t.Helper()
	for end := time.Now().Add(3 * time.Minute); strings.Count(l.out.String(), text) < times; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("nothing says %q %d times:\n%s", text, times, l.out.String())
		}
	}
}
