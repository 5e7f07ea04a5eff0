package fleet

import (
	"fmt"
	"strings"
)

// Cause is a line of the table: what stops a boot, how it is told from other
// things, and what helps. A reporter that knows the cause names it in
// Event.Fields["cause"]; then nothing is guessed.
type Cause struct {
	Name string
	Text string
	Cure string

	seen  func(*Boot) (detail string, ok bool) // from what was seen
	quiet func(*Boot) (detail string, ok bool) // from where it fell silent
}

// Causes that reporters name.
const (
	CauseMemory    = "memory"
	CauseCorrupt   = "corrupt"
	CauseKey       = "key"
	CauseDisk      = "disk"
	CauseState     = "state"
	CauseArch      = "architecture"
	CauseExhausted = "exhausted"
	CauseRival     = "rival"
)

// Causes is the table; earlier lines are more telling than later ones.
var Causes = []Cause{
	{Name: "panic", Text: "the kernel panicked", Cure: "read the last lines of its console (slipway boot why --events NODE); often a driver or the root file system is missing from the initramfs, or the memory is bad",
		seen: says("kernel panic")},
	{Name: CauseMemory, Text: "the machine has less memory than the system needs", Cure: "give it more memory, or use a smaller image (boot.ram: squashfs, slim)",
		seen: says("out of memory", "not enough memory")},
	{Name: CauseCorrupt, Text: "the machine refused a file because it is not the one that was built", Cure: "build the definition again (slipway build) and look at the disk and the network between: bytes were changed on the way"},
	{Name: CauseKey, Text: "the machine refuses what the server orders: it was started with another server's key", Cure: "make its stick again (slipway stick) if the server has a new key, or start it over the network; otherwise something else answers in the server's place"},
	{Name: "firmware", Text: "a driver asked for a firmware file that the system does not have", Cure: "add the package that holds it (on Debian mostly firmware-realtek, firmware-misc-nonfree or firmware-linux) to packages of the definition",
		seen: says("failed to load firmware", "direct firmware load for", "firmware file")},
	{Name: CauseDisk, Text: "no disk of the machine is the one that the definition names", Cure: "compare netboot.disk with the disks on the machine's page (its hardware inventory), and correct the definition",
		seen: says("no disk /", "disks with the serial number", "disks, and the definition names none")}, // words of installers' answers
	{Name: CauseState, Text: "the disk that is to keep the machine's state cannot be used", Cure: "its reason stands above. What is on the disk was left alone: name another disk in netboot.disk, or empty this one (wipefs --all, in the machine's rescue system) if nothing on it is needed"},
	{Name: "installer", Text: "the installer failed", Cure: "its reason stands above; correct that and let it install again (slipway reinstall NODE)",
		seen: installFailed},
	{Name: "token", Text: "a request was refused: its token is wrong, too old, or was made for another client", Cure: "power-cycle the machine so that it gets a new one; if this is seen again, another machine uses its address or its files",
		seen: kind(KindHTTPRefused, "token.refused", "node.refused")},
	{Name: "probe", Text: "a probe does not hold", Cure: "correct what the probe looks at, or the probe, in the definition; slipway shell NODE looks inside",
		seen: failingProbe},
	{Name: "redirect", Text: "a boot file was asked for at another address than it has: something redirects or rewrites the machine's requests", Cure: "take the proxy out of the way between machine and server: firmware follows no redirect, and boot files have no other names",
		seen: kind(KindHTTPRedirect)},
	{Name: CauseArch, Text: "the machine's architecture and the loader that it was given do not go together", Cure: "set netboot.firmware of the definition to what the machine has (uefi or bios), and arch to its processor",
		seen: wrongArchitecture},
	{Name: "missing-file", Text: "the machine asked for a file that is not there", Cure: "correct the name that is configured for it; is it led here by another server's option 67?",
		seen: missingFile},
	{Name: CauseExhausted, Text: "the address pool is exhausted", Cure: "enlarge the pool, shorten the lease time, or give the machine a reservation"},
	{Name: "address", Text: "the address that it was given is used by somebody else, or was refused", Cure: "find who has that address (its hardware address is in the neighbour table), or take it out of the pool",
		seen: kind(KindNak, KindDecline)},
	{Name: CauseRival, Text: "another DHCP server answered, and the machine followed that one", Cure: "stop the other server for this network, or run slipway in proxy mode beside it",
		seen: rivalWon},
	{Name: "transfer", Text: "a transfer broke off before its end: sizes differ, or the client gave up", Cure: "look at the cable, the switch port and the MTU; the machine tries again after a power cycle",
		seen: brokenTransfer},
	{Name: "busy", Text: "the server lets it wait for its turn", Cure: "nothing: it comes again by itself; more bandwidth or fewer machines at once would be faster",
		seen: kind(KindHTTPBusy)},

	{Name: "problem", Text: "the machine reported a problem", Cure: "its own words stand above; the timeline shows what came before (slipway boot why --events NODE)"},

	{Name: "silent", Text: "not one packet of the machine was seen", Cure: "is it on, is its cable in this network, and is network boot enabled and first in its boot order? slipway sees broadcasts of its own network only, others need a relay",
		quiet: func(b *Boot) (string, bool) { return "", len(b.Steps) == 0 }},
	{Name: "no-4011", Text: "the firmware took its address elsewhere and then did not ask for its boot file on port 4011", Cure: "open UDP port 4011 to this server in the firewall; if it is open, the firmware wants its file in the offer itself: slipway tries that at the next boot",
		quiet: no4011},
	{Name: "offer-ignored", Text: "it asked for an address and took none of the answers", Cure: "look for a firewall or a switch that drops our broadcasts (UDP 67 and 68), and for spanning tree without portfast",
		quiet: stoppedAt(StageFirmware)},
	{Name: "no-loader", Text: "it has an address and never fetched a loader", Cure: "open UDP port 69 (TFTP) and TCP port 80 to this server in the firewall; some firmware needs network boot enabled for the protocol that it is offered",
		quiet: stoppedAt(StageDHCP)},
	{Name: "secure-boot", Text: "it fetched the loader whole and then did nothing: Secure Boot refuses it", Cure: "switch Secure Boot off in its firmware setup, or use the signed loader (shim) that its keys know",
		quiet: refusedLoader},
	{Name: "loader-hangs", Text: "it fetched the loader whole and did not ask for its script", Cure: "try the loader that brings its own drivers instead of the firmware's, or the other way round; update the machine's firmware",
		quiet: stoppedAt(StageLoader)},
	{Name: "menu", Text: "it read its script and fetched no kernel", Cure: "it waits at the menu or boots its disk: look at its screen; the default of the menu is on its page",
		quiet: stoppedAt(StageScript)},
	{Name: "no-initrd", Text: "it fetched the kernel and not the initrd", Cure: "the machine has too little memory for the initrd, or its loader hangs: look at its screen",
		quiet: stoppedAt(StageKernel)},
	{Name: "no-phone-home", Text: "it fetched kernel and initrd, and its system never reported", Cure: "look at its console: the kernel hangs, has no driver for the network card (add its firmware package), or the network of the system differs from the firmware's (VLAN, other port)",
		quiet: stoppedAt(StageInitrd)},
	{Name: "no-network", Text: "its init runs, and it has no network", Cure: "compare network in the definition with the machine's cards on its page; add the card's firmware package",
		quiet: stoppedAt(StageInit)},
	{Name: "no-login", Text: "it has a network, and its init does not reach its goal", Cure: "a unit hangs: slipway shell NODE systemctl list-jobs, or read its log on the page",
		quiet: stoppedAt(StageNetwork)},
	{Name: "install-stalled", Text: "its installer has stopped reporting", Cure: "power-cycle it: the grant is still in use, so it looks at the disk before it writes again",
		quiet: stoppedAt(StageInstall)},
	{Name: "unproven", Text: "it is up, and not every probe has answered", Cure: "see which on its page; slipway shell NODE looks inside",
		quiet: func(*Boot) (string, bool) { return "", true }},
}

// causes finds lines by name.
var causes = func() map[string]*Cause {
	m := make(map[string]*Cause, len(Causes))
	for i := range Causes {
		m[Causes[i].Name] = &Causes[i]
	}
	return m
}()

// FindCause returns the line of that name, or nil.
func FindCause(name string) *Cause { return causes[name] }

// kind fits where such an event was seen after the last step, or at it.
func kind(kinds ...string) func(*Boot) (string, bool) {
	return func(b *Boot) (string, bool) {
		e := b.find(kinds...)
		if e == nil {
			return "", false
		}
		return words(e), true
	}
}

func words(e *Event) string {
	if e.Problem != "" {
		return e.Problem
	}
	return e.Text
}

// says fits where a console line, a log line or a problem holds the words.
func says(parts ...string) func(*Boot) (string, bool) {
	return func(b *Boot) (string, bool) {
		for i := len(b.Events) - 1; i >= 0; i-- {
			e := &b.Events[i]
			if e.Problem == "" && e.Kind != KindConsole && e.Kind != KindNodeLog {
				continue
			}
			for _, text := range []string{e.Problem, e.Text} {
				lower := strings.ToLower(text)
				for _, p := range parts {
					if strings.Contains(lower, p) {
						return text, true
					}
				}
			}
		}
		return "", false
	}
}

func stoppedAt(stage string) func(*Boot) (string, bool) {
	return func(b *Boot) (string, bool) { return "", b.Reached() == stage }
}

// failingProbe looks at the last result of each.
func failingProbe(b *Boot) (string, bool) {
	seen := map[string]bool{}
	for i := len(b.Events) - 1; i >= 0; i-- {
		e := &b.Events[i]
		name := e.Fields[FieldProbe]
		if e.Kind != KindProbeOK && e.Kind != KindProbeFail || seen[name] {
			continue
		}
		seen[name] = true
		if e.Kind == KindProbeFail {
			return fmt.Sprintf("%s: %s", name, e.Problem), true
		}
	}
	return "", false
}

// installFailed fits where the installer failed last, and has not begun again.
func installFailed(b *Boot) (string, bool) {
	if e := b.find(KindInstallFail, KindInstallBegin, KindInstallDone); e != nil && e.Kind == KindInstallFail {
		return words(e), true
	}
	return "", false
}

// wrongArchitecture compares what the firmware said it is with the name of the
// loader that it took.
func wrongArchitecture(b *Boot) (string, bool) {
	if b.has(StageScript) {
		return "", false
	}
	arch, file := "", ""
	for _, e := range b.Events {
		if v := e.Fields[FieldArch]; v != "" {
			arch = strings.ToLower(v)
		}
		if e.Kind == KindTFTPDone || e.Kind == KindHTTPDone {
			file = strings.ToLower(e.Fields[FieldFile])
		}
	}
	if arch == "" || file == "" {
		return "", false
	}
	bios := arch == "0" || strings.Contains(arch, "bios")
	arm := arch == "10" || arch == "11" || strings.Contains(arch, "arm") || strings.Contains(arch, "aa64")
	switch {
	case bios && strings.HasSuffix(file, ".efi"), !bios && strings.HasSuffix(file, "pxe") && !strings.HasSuffix(file, ".ipxe"),
		arm && strings.Contains(file, "x86_64"), !arm && strings.Contains(file, "arm64"):
		return fmt.Sprintf("firmware %s fetched %s", arch, file), true
	}
	return "", false
}

// missingFile passes over what loaders ask for on the off chance.
func missingFile(b *Boot) (string, bool) {
	for i := len(b.Events) - 1; i >= 0; i-- {
		e := &b.Events[i]
		if e.Kind != KindHTTPMissing && e.Kind != KindTFTPError {
			continue
		}
		if len(b.Steps) > 0 && e.Time.Before(b.Steps[len(b.Steps)-1].Time) {
			return "", false
		}
		name := e.Fields[FieldFile]
		if name == "" {
			name = e.Fields[FieldURL]
		}
		if !strings.HasSuffix(name, "autoexec.ipxe") {
			return name, true
		}
	}
	return "", false
}

// rivalWon fits where another server offered an address and ours was not taken.
// Beside a proxy of ours another server is what is wanted.
func rivalWon(b *Boot) (string, bool) {
	e := b.any(KindRival)
	if e == nil || e.Problem == "" || b.has(StageDHCP) {
		return "", false
	}
	return "server " + e.Fields[FieldServer], true
}

// brokenTransfer fits where the last transfer of a file was an abort.
func brokenTransfer(b *Boot) (string, bool) {
	done := map[string]bool{}
	for i := len(b.Events) - 1; i >= 0; i-- {
		e := &b.Events[i]
		file := e.Fields[FieldFile]
		switch e.Kind {
		case KindHTTPDone, KindTFTPDone, KindHTTPStart, KindTFTPStart, KindHTTPProgress:
			done[file] = true
		case KindHTTPAbort, KindTFTPAbort:
			if !done[file] && (len(b.Steps) == 0 || !e.Time.Before(b.Steps[len(b.Steps)-1].Time)) {
				return fmt.Sprintf("%s: %d of %d bytes. %s", file, e.Bytes, e.Total, words(e)), true
			}
		}
	}
	return "", false
}

// no4011 fits a proxy's offer that was not taken up.
func no4011(b *Boot) (string, bool) {
	if Rank(b.Reached()) > Rank(StageDHCP) || b.any(KindBootReq) != nil {
		return "", false
	}
	for _, e := range b.Events {
		if e.Kind == KindProxy || e.Kind == KindOffer && e.Fields["recipe"] == "server" {
			return "", true
		}
	}
	return "", false
}

// refusedLoader fits UEFI firmware that took a loader and fell silent.
func refusedLoader(b *Boot) (string, bool) {
	if b.Reached() != StageLoader {
		return "", false
	}
	for _, e := range b.Events {
		arch := strings.ToLower(e.Fields[FieldArch])
		if arch != "" && arch != "0" && !strings.Contains(arch, "bios") {
			return "UEFI firmware, and nothing after the last byte", true
		}
	}
	return "", false
}
