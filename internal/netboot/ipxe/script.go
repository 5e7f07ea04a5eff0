package ipxe

import (
	"fmt"
	"strings"
	"time"
)

// script collects lines.
type script struct{ strings.Builder }

func begin(format string, args ...any) *script {
	s := new(script)
	s.WriteString("#!ipxe\n")
	s.line("# "+format, args...)
	return s
}

func (s *script) line(format string, args ...any) {
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	// One line each: a name with a line break in it must not become a command.
	s.WriteString(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text))
	s.WriteByte('\n')
}

// say shows lines on the screen. What stands in them is no variable of iPXE.
func (s *script) say(lines ...string) {
	for _, l := range lines {
		s.line("%s", "echo slipway: "+literal(l))
	}
}

// literal keeps iPXE from reading variables in a text: it expands ${ anywhere
// in a line, before it splits it into words.
func literal(text string) string {
	return strings.NewReplacer("${", "$ {", "\\", "/", "\"", "'", "&&", "and", "||", "or", ";", ",").Replace(text)
}

// Hello is the first script. It asks for the machine's own with what the
// machine says of itself: at base, an absolute address that ends with a slash.
func Hello(base string) []byte {
	s := begin("slipway: who are you")
	s.line("isset ${netX/ip} || dhcp ||") // as autoexec.ipxe it comes before any address
	s.line("set slipway-tries:int32 0")
	s.line(":ask")
	s.line("chain --autofree %sscript.ipxe?mac=${netX/mac}&uuid=${uuid}&serial=${serial:uristring}&asset=${asset:uristring}"+
		"&manufacturer=${manufacturer:uristring}&product=${product:uristring}&mem=${memsize}&arch=${buildarch}&platform=${platform}&version=${version:uristring} && goto end || goto again", base)
	s.line(":again")
	s.line("inc slipway-tries")
	s.line("iseq ${slipway-tries} 5 && goto lost ||")
	s.say("the boot server does not answer with a script, trying again")
	s.line("sleep 3")
	s.line("goto ask")
	s.line(":lost")
	s.say("the boot server gave an address but no script.",
		"Look at its log (slipway boot why says the cause); this machine starts from its disk now.")
	s.line("iseq ${platform} efi && goto end ||")
	s.line("sanboot --no-describe --drive 0x80 ||")
	s.line(":end")
	// What ends well ends the boot: UEFI then shows its menu. What ends with an
	// error has it try the next entry, which is the disk.
	s.line("iseq ${platform} efi && exit 1 || exit 0")
	return []byte(s.String())
}

// System is a kernel with its initrd.
type System struct {
	Machine string // for the screen
	What    string // what is done, for the screen: "starts from memory, version 1a2b"
	Kernel  string // absolute addresses
	Initrd  string // empty: none
	Cmdline string
	Tries   int // default 5
	Failed  []string
}

// Start loads a kernel and its initrd and starts it. A transfer that breaks off
// is begun again; what cannot be loaded leads to the disk.
func Start(sys System) []byte {
	s := begin("slipway: %s", sys.Machine)
	s.start(sys)
	return []byte(s.String())
}

func (s *script) start(sys System) {
	tries := sys.Tries
	if tries == 0 {
		tries = 5
	}
	s.line("set slipway-tries:int32 0")
	s.say(fmt.Sprintf("%s %s", sys.Machine, sys.What))
	s.line(":load")
	s.line("imgfree ||")
	words := sys.Cmdline
	if sys.Initrd != "" {
		words = "initrd=initrd " + words // UEFI: the kernel asks the loader by this name
	}
	s.line("%s", "kernel --name vmlinuz "+sys.Kernel+" "+strings.TrimSpace(words)+" BOOTIF=01-${netX/mac:hexhyp} || goto failed")
	if sys.Initrd != "" {
		s.line("%s", "initrd --name initrd "+sys.Initrd+" || goto failed")
	}
	s.line("boot ||")
	s.line(":failed")
	s.line("inc slipway-tries")
	s.line("iseq ${slipway-tries} %d && goto lost ||", tries)
	s.say("that did not work (the line above says why), trying again")
	s.line("sleep 2")
	s.line("goto load")
	s.line(":lost")
	s.say(append([]string{sys.Machine + " could not load its system."}, sys.Failed...)...)
	s.say("On the server, slipway boot why says the cause. This machine starts from its disk now.")
	s.disk()
}

// Disk starts from the local disk.
func Disk(machine, why string) []byte {
	s := begin("slipway: %s", machine)
	s.say(fmt.Sprintf("%s starts from its disk%s", machine, why))
	s.disk()
	return []byte(s.String())
}

// DiskOr does so, and where a BIOS finds nothing to start on its disk it asks
// again. After a UEFI loader the firmware goes on by itself.
func DiskOr(machine, why, again string) []byte {
	s := begin("slipway: %s", machine)
	s.say(fmt.Sprintf("%s starts from its disk%s", machine, why))
	s.line("iseq ${platform} efi && exit 0 ||")
	s.line("sanboot --no-describe --drive 0x80 ||")
	s.say("there is nothing to start on the disk, asking again")
	s.line("sleep 3")
	s.line("chain --replace --autofree %s", again)
	s.line("exit 0")
	return []byte(s.String())
}

// disk leaves the loader: UEFI tries its next entry, a BIOS is shown its first
// disk.
func (s *script) disk() {
	s.line("iseq ${platform} efi && exit 0 ||")
	s.line("sanboot --no-describe --drive 0x80 || exit 0")
}

// Stop shows why nothing can be started and tries again after a while: the
// cause is removed at the server or at the machine, and then it goes on by
// itself.
func Stop(machine string, after time.Duration, again string, lines ...string) []byte {
	s := begin("slipway: %s", machine)
	s.say(lines...)
	s.say(fmt.Sprintf("This machine asks again every %s.", after))
	s.line("sleep %d", int(after/time.Second))
	s.line("chain --replace --autofree %s", again)
	s.line("exit 1")
	return []byte(s.String())
}

// Wait has the machine ask again, in its turn.
func Wait(after time.Duration, again, why string) []byte {
	s := begin("slipway: wait")
	s.say(why)
	s.line("sleep %d", max(1, int(after/time.Second)))
	s.line("chain --replace --autofree %s", again)
	s.line("exit 1")
	return []byte(s.String())
}

// Entry is a line of the menu.
type Entry struct{ Name, Text, URL string }

// Menu shows entries and takes the default after a while.
func Menu(machine string, entries []Entry, standard string, wait time.Duration) []byte {
	s := begin("slipway: %s", machine)
	s.line("%s", "menu slipway: "+literal(machine))
	for _, e := range entries {
		s.line("%s", "item "+e.Name+" "+literal(e.Text))
	}
	s.line("choose --default %s --timeout %d slipway-entry || set slipway-entry %s", standard, wait.Milliseconds(), standard)
	for _, e := range entries {
		s.line("iseq ${slipway-entry} %s && chain --replace --autofree %s ||", e.Name, e.URL)
	}
	s.say("the boot server did not give what was chosen; this machine starts from its disk")
	s.disk()
	return []byte(s.String())
}
