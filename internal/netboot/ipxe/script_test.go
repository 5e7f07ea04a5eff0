package ipxe

import (
	"strings"
	"testing"
	"time"
)

// Nothing that a definition or a machine says becomes a command.
func TestScriptsAreSafe(t *testing.T) {
	evil := "a\nchain http://evil/\r\n${net0/mac} || shell"
	for name, script := range map[string][]byte{
		"start": Start(System{Machine: evil, What: evil, Kernel: "http://s/k", Initrd: "http://s/i", Failed: []string{evil}}),
		"disk":  Disk(evil, evil),
		"or":    DiskOr(evil, evil, "http://s/again"),
		"stop":  Stop(evil, time.Second, "http://s/again", evil),
		"menu":  Menu(evil, []Entry{{"disk", evil, "http://s/x"}}, "disk", time.Second),
		"wait":  Wait(time.Second, "http://s/again", evil),
	} {
		lines := strings.Split(string(script), "\n")
		if lines[0] != "#!ipxe" {
			t.Errorf("%s begins with %q", name, lines[0])
		}
		for _, l := range lines[1:] {
			first, _, _ := strings.Cut(l, " ")
			if first == "chain" && strings.Contains(l, "evil") || strings.Contains(l, "|| shell") && first != "#" {
				t.Errorf("%s has the line %q", name, l)
			}
			if first == "echo" && strings.Contains(l, "${") {
				t.Errorf("%s expands in %q", name, l)
			}
		}
	}
}

// Every script ends by itself: no prompt, no shell, no second loader.
func TestScriptsEnd(t *testing.T) {
	for name, script := range map[string][]byte{
		"hello": Hello("http://s/b/t/"),
		"start": Start(System{Machine: "m", Kernel: "http://s/k", Initrd: "http://s/i", Cmdline: "quiet"}),
		"disk":  Disk("m", ""),
		"or":    DiskOr("m", "", "http://s/again"),
		"stop":  Stop("m", time.Second, "http://s/again"),
	} {
		text := string(script)
		for _, bad := range []string{"prompt", "shell", ".efi", ".kpxe", "read "} {
			if strings.Contains(text, bad) {
				t.Errorf("%s uses %q:\n%s", name, bad, text)
			}
		}
		if !strings.Contains(text, "exit ") {
			t.Errorf("%s never ends:\n%s", name, text)
		}
		for _, l := range strings.Split(text, "\n") { // labels that are gone to are there
			if _, label, ok := strings.Cut(l, "goto "); ok {
				label, _, _ = strings.Cut(label, " ")
				if !strings.Contains(text, "\n:"+label+"\n") {
					t.Errorf("%s goes to %q, which is not there", name, label)
				}
			}
		}
	}
	if text := string(Start(System{Machine: "m", Kernel: "http://s/k", Initrd: "http://s/i"})); !strings.Contains(text, "BOOTIF=01-${netX/mac:hexhyp}") || !strings.Contains(text, "initrd=initrd") {
		t.Errorf("the kernel is not told what it needs:\n%s", text)
	}
}

func TestFor(t *testing.T) {
	for _, c := range []struct{ cpu, firmware, want string }{
		{"i386", "bios", BIOS}, {"amd64", "uefi", UEFI}, {"arm64", "uefi", ""}, {"", "", ""}, {"i386", "uefi", ""},
	} {
		if got, ok := For(c.cpu, c.firmware); got != c.want || ok != (c.want != "") {
			t.Errorf("%s, %s: %q %v", c.cpu, c.firmware, got, ok)
		}
	}
}
