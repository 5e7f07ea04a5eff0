package cloud

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// guest has a processor without cmpxchg16b, which hosts' older QEMU emulates
// wrongly.
const guest = `slipway: v1
name: domain
system: debian/trixie
hostname: harbour
vm: {memory: 512M, cpus: 1, cpu: Opteron_G1}
`

var (
	networkCard = regexp.MustCompile(`(?s)\s*<interface.*?</interface>`)
	consoles    = regexp.MustCompile(`(?s)<serial type="pty">.*?</console>`)
)

// TestBootDomain: libvirt starts what was exported for it, by its kernel, and
// ends it in order. The driver inside virsh needs no daemon; run by a user
// without rights it has neither networks nor a terminal for the console, so
// both are left out of the domain.
func TestBootDomain(t *testing.T) {
	kit.Tier(t, "boot")
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root to become a user without rights")
	}
	for _, program := range []string{"virsh", "qemu-system-x86_64"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s here", program)
		}
	}
	if drivers, _ := filepath.Glob("/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so"); len(drivers) == 0 {
		t.Skip("libvirt has no driver of QEMU here (package libvirt-daemon-driver-qemu)")
	}
	kit.LockQEMU(t)
	w := kit.SharedWorld(t)
	out, home := filepath.Join(w.Dir, "out"), nobodysFolder(t)
	w.Must("export", kit.Write(t, w.Dir, "domain.yaml", guest), "--libvirt", "--emulate", "-o", out)
	if err := os.Chmod(filepath.Join(out, "domain.qcow2"), 0o666); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "domain.xml"))
	if err != nil {
		t.Fatal(err)
	}
	console := filepath.Join(home, "console.log")
	text = networkCard.ReplaceAll(text, nil)
	text = consoles.ReplaceAll(text, fmt.Appendf(nil, `<serial type="file"><source path="%s"/><target port="0"/></serial>`, console))
	kit.Write(t, home, "domain.xml", string(text))

	var said bytes.Buffer
	cmd := exec.Command("timeout", "-k", "5", "300", "virsh", "-q", "-c", "qemu:///embed?root="+home)
	cmd.Env = []string{"HOME=" + home, "XDG_RUNTIME_DIR=" + home, "PATH=" + os.Getenv("PATH")}
	cmd.Dir, cmd.Stdout, cmd.Stderr = home, &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	commands, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(commands, "create domain.xml")
	begin := time.Now()
	shown := awaitConsole(console, "harbour login:", 4*time.Minute)
	t.Logf("from libvirt's start to the login: %s", time.Since(begin).Round(time.Second))
	fmt.Fprintln(commands, "shutdown domain\nevent domain --event lifecycle --timeout 60\ndestroy domain")
	commands.Close()
	cmd.Wait() // destroy fails when the domain has gone
	if !strings.Contains(shown, "harbour login:") {
		t.Fatalf("no login came up; virsh said\n%s\nthe console showed\n%s", said.String(), tail(shown))
	}
	if last := awaitConsole(console, "Power down", time.Second); !strings.Contains(last, "Power down") {
		t.Errorf("it did not end in order:\n%s", tail(last))
	}
}

const nobody = 65534

// nobodysFolder has a short path, for the sockets in it.
func nobodysFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "virsh-")
	if err == nil {
		err = os.Chown(dir, nobody, nobody)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// awaitConsole reads a console's log until it has a text.
func awaitConsole(path, text string, limit time.Duration) string {
	for end := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
		data, _ := os.ReadFile(path) // it is there once the machine runs
		if strings.Contains(string(data), text) || time.Now().After(end) {
			return string(data)
		}
	}
}

func tail(text string) string { return text[max(0, len(text)-2000):] }
