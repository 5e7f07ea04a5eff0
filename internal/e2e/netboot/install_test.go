package netboot

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// installed is a machine on a disk: a kernel, a loader and one program.
const installed = `slipway: v1
name: one
system: debian/trixie
arch: amd64
init: /program
files:
  - {path: /program, from: %PROGRAM%, mode: "0755"}
kernel: {package: linux-image-cloud-amd64}
boot: {firmware: [bios]}
disk: {size: 400M}
vm: {cpus: 1, memory: 768M}
netboot: {mode: install, firmware: bios, disk: "serial:TARGET", recover: true, address: 192.0.2.50, match: {mac: "%MAC%"}}
`

// program says on the console where its root is.
const program = `package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	mounts, _ := os.ReadFile("/proc/mounts")
	for _, line := range strings.Split(string(mounts), "\n") {
		if f := strings.Fields(line); len(f) > 2 && f[1] == "/" && f[2] != "rootfs" {
			fmt.Printf("\nprocess %d of the root on %s\n", os.Getpid(), f[0])
		}
	}
	time.Sleep(time.Hour)
}
`

// compile builds a program of one file.
func compile(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(text), 0o644))
	out := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-o", out, filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// TestBootNetbootInstall installs a machine on an empty disk and has it start
// from there, wipes the disk and sees it recover: with no hand on it.
func TestBootNetbootInstall(t *testing.T) {
	kit.Tier(t, "boot")
	const mac = "52:54:00:00:0c:01"
	dir := t.TempDir()
	file := filepath.Join(dir, "one.yaml")
	must(t, os.WriteFile(file, []byte(strings.NewReplacer("%PROGRAM%", compile(t, program), "%MAC%", mac).Replace(installed)), 0o644))
	l := newLAN(t, dir, "-o", filepath.Join(t.TempDir(), "one.raw"))
	l.serve(dir, "--offline", "--interface", bridge, "--state", filepath.Join(t.TempDir(), "records"))
	l.await("what starts one is ready", 5*time.Minute)
	l.await("the image of one is ready", 5*time.Minute)
	disk := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 1<<30))

	console, off := l.powerOn("one", mac, "bios", disk, 768<<20)
	t.Cleanup(func() { off() })
	l.shows(console, "process 1 of the root on /dev/vda")
	off()
	if n := strings.Count(l.out.String(), "install.done"); n != 1 {
		t.Errorf("it was installed %d times:\n%s", n, l.out.String())
	}

	f, err := os.OpenFile(disk, os.O_WRONLY, 0)
	must(t, err, f.Truncate(0), f.Truncate(1<<30), f.Close())
	console, off = l.powerOn("one", mac, "bios", disk, 768<<20)
	l.shows(console, "process 1 of the root on /dev/vda")
	if !strings.Contains(l.out.String(), "recovery of an empty disk") {
		t.Errorf("it did not recover:\n%s", l.out.String())
	}
}

// shows waits until a console has shown a text.
func (l *lan) shows(console *safeBuffer, text string) {
	l.t.Helper()
	for end := time.Now().Add(6 * time.Minute); !strings.Contains(console.String(), text); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("the console does not show %q\nserver:\n%s\nconsole:\n%s", text, l.out.String(), console.String())
		}
	}
}
