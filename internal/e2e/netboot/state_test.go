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

// keeping is a machine in memory with a folder that a disk keeps.
const keeping = `slipway: v1
name: one
system: debian/trixie
arch: amd64
init: /program
files:
  - {path: /program, from: %PROGRAM%, mode: "0755"}
  - {path: /srv/data/word, content: "built", mode: "0640", owner: "backup:backup"}
state: [/srv/data, /srv/unbuilt]
kernel: {package: linux-image-cloud-amd64}
boot: {loader: none}
vm: {cpus: 1, memory: 768M}
netboot: {initrd: small, firmware: bios, address: 192.0.2.54, disk: "serial:TARGET", match: {mac: "%MAC%"}}
`

// writer is its program: it says what it finds, leaves something in its root
// and in what is kept, and restarts; the second time it stays.
const writer = `package main

import (
	"fmt"
	"os"
	"syscall"
	"time"
)

func main() {
	word, err := os.ReadFile("/srv/data/word")
	st, _ := os.Stat("/srv/data/word")
	_, gone := os.Stat("/srv/root")
	fmt.Println("kept is", string(word), err, st.Mode(), st.Sys().(*syscall.Stat_t).Uid, "fresh is", os.IsNotExist(gone))
	if string(word) != "built" {
		select {}
	}
	put := func(path string) {
		f, err := os.Create(path)
		if err == nil {
			_, err = f.WriteString("written")
		}
		fmt.Println("wrote", path, err, f.Sync())
	}
	put("/srv/root")
	put("/srv/unbuilt/word")
	put("/srv/data/word")
	syscall.Sync()
	time.Sleep(time.Second)
	syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
}
`

// TestBootNetbootState starts a machine from memory that keeps a folder on its
// empty disk, restarts it, and starts it with a disk that is somebody's.
func TestBootNetbootState(t *testing.T) {
	kit.Tier(t, "boot")
	const mac = "52:54:00:00:0e:01"
	dir, state := t.TempDir(), filepath.Join(t.TempDir(), "records")
	text := strings.NewReplacer("%PROGRAM%", compile(t, writer), "%MAC%", mac).Replace(keeping)
	must(t, os.WriteFile(filepath.Join(dir, "one.yaml"), []byte(text), 0o644))
	l := newLAN(t, dir)
	l.start(l.w.Command(context.Background(), "serve", dir, "--offline", "--interface", bridge, "--state", state))
	l.sees("one is ready", 1)
	disk := filepath.Join(t.TempDir(), "disk")
	must(t, os.WriteFile(disk, nil, 0o600), os.Truncate(disk, 64<<20))
	begin := time.Now()
	console, off := l.powerOn("one", mac, "bios", disk, 768<<20)
	defer func() {
		if t.Failed() {
			t.Logf("server:\n%s\nconsole:\n%s", l.out.String(), console)
		}
	}()
	defer func() { off() }()
	l.shows(console, "kept is built <nil> -rw-r----- 34 fresh is true")
	l.shows(console, "kept is written <nil> -rw-r----- 34 fresh is true")
	t.Logf("kept %s after power-on", time.Since(begin).Round(100*time.Millisecond))
	for _, text := range []string{"wrote /srv/root <nil> <nil>", "wrote /srv/unbuilt/word <nil> <nil>", "wrote /srv/data/word <nil> <nil>"} {
		if !strings.Contains(console.String(), text) {
			t.Errorf("the console does not show %q", text)
		}
	}
	off()
	// A byte of somebody's partition table says that it is not the machine's.
	data, err := os.ReadFile(disk)
	must(t, err)
	table := make([]byte, 512)
	copy(table[446:], []byte{0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0, 1, 0})
	copy(table[510:], []byte{0x55, 0xaa})
	data = append(table, make([]byte, len(data)-len(table))...)
	must(t, os.WriteFile(disk, data, 0o600))
	console, off = l.powerOn("one", mac, "bios", disk, 768<<20)
	l.shows(console, "it is not empty, and does not hold the state of one")
	l.sees("it is not empty, and does not hold the state of one", 1)
	out, _ := l.w.Command(context.Background(), "boot", "why", "one", "--state", state).CombinedOutput() // its status is the machine's
	if text := string(out); !strings.Contains(text, "wipefs") || !strings.Contains(text, "the disk that is to keep the machine's state cannot be used") {
		t.Errorf("boot why says:\n%s", text)
	}
	if after, err := os.ReadFile(disk); err != nil || string(after) != string(data) {
		t.Errorf("somebody's disk was written (%v)", err)
	}
}
