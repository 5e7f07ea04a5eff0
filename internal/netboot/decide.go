package netboot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fleet"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/ipxe"
)

// script decides what a machine boots, and writes that down for iPXE. machine
// is nil for an unknown one.
func (s *Server) script(ctx context.Context, c boothttp.Call, base string) (script []byte, m *Machine) {
	q := c.Request.URL.Query()
	facts := Facts{MAC: c.Claim.Client, Circuit: c.Claim.Fields["circuit"], Remote: c.Claim.Fields["remote"],
		SMBIOS: true, Serial: q.Get("serial"), Asset: q.Get("asset")}
	for _, u := range []string{c.Claim.UUID, q.Get("uuid")} {
		if u != "" {
			facts.UUIDs = append(facts.UUIDs, strings.ToLower(u))
		}
	}
	a := answer{s: s, call: c, base: base, again: base + helloName, firmware: c.Claim.Fields["firmware"]}
	if q.Get("platform") == "efi" {
		a.firmware = "uefi"
	}
	if mem, err := strconv.ParseInt(q.Get("mem"), 10, 64); err == nil {
		a.memory = mem << 20
	}
	m = s.roster().Find(facts)
	if m == nil {
		return a.unknown(ctx, facts), nil
	}
	a.m = m
	return a.machine(ctx, q.Get("entry")), m
}

// answer is one decision on its way.
type answer struct {
	s        *Server
	call     boothttp.Call
	m        *Machine
	base     string // address of this boot's files
	again    string // where to ask again
	firmware string
	memory   int64 // of the machine, as its loader says; 0: not known
}

// entries of the menu, beside the ways of a mode.
const (
	entryAuto    = "auto"
	entryDisk    = "disk"
	entryInstall = "install"
	entryRAM     = "ram"
	entryRescue  = "rescue"
	entryMemtest = "memtest"
)

// machine decides for a machine that is known. chosen is what somebody took
// from the menu; empty: nobody was asked.
func (a *answer) machine(ctx context.Context, chosen string) []byte {
	node, _ := a.s.Fleet.Node(a.m.Name)
	entry := chosen
	if entry == "" {
		if a.m.Menu > 0 && node.OneTime == "" {
			return a.menu(a.m.Menu)
		}
		entry = a.m.Default
	}
	if node.OneTime != "" && chosen == "" {
		entry = node.OneTime
		if err := a.s.Fleet.Update(ctx, a.m.Name, func(n *fleet.Node) error { n.OneTime = ""; return nil }); err != nil {
			return a.stop("the server cannot keep its records: " + err.Error())
		}
	}
	if entry == "" || entry == entryAuto {
		entry = a.m.Mode
	}
	a.note(entry)
	switch entry {
	case entryRAM:
		return a.ram(ctx)
	case entryInstall:
		return a.install(ctx)
	case entryRescue:
		return a.node(ctx, "starts the rescue system", "rescue")
	case entryMemtest:
		system, err := a.s.Images.Memtest(ctx, a.firmware)
		return a.start(system, err, "tests its memory", "")
	}
	return ipxe.Disk(a.m.Name, "")
}

// note writes down what was decided, before it is done.
func (a *answer) note(entry string) {
	a.s.Record(fleet.Event{
		Kind: fleet.KindScript, Client: a.call.Claim.Client, Machine: a.m.Name, Address: a.call.From.String(), Stage: fleet.StageScript,
		Text: "told to boot: " + entry, Fields: map[string]string{"entry": entry, "firmware": a.firmware},
	})
}

// ram starts the machine's system in memory.
func (a *answer) ram(ctx context.Context) []byte {
	system, err := a.s.Images.RAM(ctx, a.m)
	var words []string
	if err == nil && system.Fetch != "" {
		words = append(words, a.nodeWord())
	}
	if err == nil && system.Within > 0 {
		words = append(words, "slipway.prove="+a.s.base(a.call.Local)+"/n/"+a.s.tellToken(a.call, a.m, system.Within)+"/", "slipway.version="+system.Version)
	}
	return a.start(system, err, "starts from memory", strings.Join(words, " "))
}

// install starts the installer if the machine was granted to be installed, and
// its disk otherwise.
func (a *answer) install(ctx context.Context) []byte {
	d, wrong := a.m.Definition()
	if wrong != nil {
		return a.stop(wrong.Error())
	}
	foreign := d.Netboot != nil && d.Netboot.Installer != nil
	g, err := a.s.Fleet.Grant(ctx, a.m.Name)
	switch open := g.State == fleet.Granted || g.State == fleet.InUse; {
	case err != nil && !errors.Is(err, fleet.ErrNoGrant):
		return a.stop("the server cannot read its grants: " + err.Error())
	case err == nil && open && foreign:
		return a.foreign(ctx, d)
	case foreign: // only a grant starts it: it does not look whether the disk is empty
		return ipxe.Disk(a.m.Name, reinstallHint(a.m.Name))
	case err == nil && open:
		return a.node(ctx, "is installed", "")
	case (err != nil || g.State == fleet.Expired) && a.s.Node != nil && a.neverInstalled():
		return a.node(ctx, "was never installed, as far as is known: looks whether its disk is empty", "")
	case a.m.Recover && a.foundNoDisk():
		return a.node(ctx, "came back from its disk at once: looks whether it is empty", "")
	}
	if a.m.Recover {
		return ipxe.DiskOr(a.m.Name, reinstallHint(a.m.Name), a.again)
	}
	return ipxe.Disk(a.m.Name, reinstallHint(a.m.Name))
}

func reinstallHint(name string) string {
	return " (slipway reinstall " + name + " lets it be installed)"
}

// neverInstalled tells whether nothing is known of an installation. The small
// system then looks at the disk, and writes to one that is empty alone.
func (a *answer) neverInstalled() bool {
	n, _ := a.s.Fleet.Node(a.m.Name)
	return n.Installed == ""
}

// comesBack is how soon a machine that was sent to its disk is back when there
// is nothing on it.
const comesBack = 3 * time.Minute

// foundNoDisk tells whether the machine was sent to its disk just now, and is
// back already. Its disk is looked at then, and the next time it is sent there
// again: one that was only restarted soon is not kept from its disk.
func (a *answer) foundNoDisk() bool {
	key := "disk " + a.m.Name
	now := a.s.now()
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	last := a.s.sent[key]
	if a.s.sent == nil {
		a.s.sent = map[string]time.Time{}
	}
	back := !last.IsZero() && now.Sub(last) < comesBack
	if a.s.sent[key] = now; back {
		delete(a.s.sent, key)
	}
	return back
}

// node starts the small system, which is told what to do when it asks.
func (a *answer) node(ctx context.Context, what, do string) []byte {
	system, err := a.s.Images.Node(ctx, a.m)
	more := a.nodeWord()
	if do != "" {
		more += " slipway.do=" + do
	}
	return a.start(system, err, what, more)
}

// nodeWord names the server to the small system.
func (a *answer) nodeWord() string {
	return "slipway.node=" + a.s.base(a.call.Local) + "/n/" + a.call.Token + "/"
}

// unknown has an unknown machine tell what it is made of, where there is a
// system for that.
func (a *answer) unknown(ctx context.Context, f Facts) []byte {
	a.m = &Machine{Name: "unknown machine " + f.MAC}
	if a.s.Node != nil {
		system, err := a.s.Images.Node(ctx, nil)
		if err == nil || errors.Is(err, ErrMaking) {
			return a.start(system, err, "tells the server what it is made of", a.nodeWord())
		}
	}
	return ipxe.Stop(a.m.Name, 30*time.Second, a.again,
		"no definition of the fleet matches this machine.",
		"hardware address "+f.MAC+", UUID "+strings.Join(f.UUIDs, " or ")+", serial number "+f.Serial,
		"Add netboot: {match: {mac: '"+f.MAC+"'}} to a definition in the server's folder.")
}

func (a *answer) stop(lines ...string) []byte {
	a.s.Record(fleet.Event{Kind: fleet.KindScript, Client: a.call.Claim.Client, Machine: a.m.Name, Address: a.call.From.String(), Problem: strings.Join(lines, " ")})
	return ipxe.Stop(a.m.Name, 15*time.Second, a.again, lines...)
}

// start starts a system, or says why there is none.
func (a *answer) start(system *System, err error, what, more string) []byte {
	if errors.Is(err, ErrMaking) {
		return ipxe.Wait(5*time.Second, a.again, fmt.Sprintf("%s: the server is still making its system (%v)", a.m.Name, err))
	}
	if err != nil {
		return a.stop(a.m.Name+": its system could not be made", err.Error())
	}
	if system.Memory > 0 && a.memory > 0 && a.memory < system.Memory {
		return a.tooSmall(system)
	}
	h, err := a.s.hold(a.call.Claim.Client, system)
	if err != nil {
		return a.stop(a.m.Name+": its system cannot be served", err.Error())
	}
	sys := ipxe.System{Machine: a.m.Name, What: what, Kernel: a.base + filesName + h.kernel + "/vmlinuz",
		Cmdline: strings.TrimSpace(system.Cmdline + " " + more)}
	if system.Version != "" {
		sys.What += " (version " + system.Version[:min(12, len(system.Version))] + ")"
	}
	if h.initrd != "" {
		sys.Initrd = a.base + filesName + h.initrd + "/initrd"
	}
	if system.Memory > 0 {
		sys.Failed = []string{fmt.Sprintf("It needs %d MB of memory.", system.Memory>>20)}
	}
	return ipxe.Start(sys)
}

// tooSmall refuses before anything is loaded.
func (a *answer) tooSmall(system *System) []byte {
	text := fmt.Sprintf("this machine has %d MB of memory and needs %d MB", a.memory>>20, system.Memory>>20)
	a.s.Record(fleet.Event{
		Kind: fleet.KindScript, Client: a.call.Claim.Client, Machine: a.m.Name, Address: a.call.From.String(), Problem: text,
		Fields: map[string]string{fleet.FieldMemory: strconv.FormatInt(a.memory, 10), fleet.FieldNeed: strconv.FormatInt(system.Memory, 10), fleet.FieldCause: "memory"},
	})
	return ipxe.Stop(a.m.Name, time.Minute, a.again, text+".", "Give it more, or make the system smaller (slim, netboot: {initrd: small}).")
}

// menu offers what there is, and takes the machine's own entry after a while.
func (a *answer) menu(wait time.Duration) []byte {
	standard := a.m.Default
	if standard == "" || standard == entryAuto {
		standard = a.m.Mode
	}
	entries := []ipxe.Entry{{Name: entryDisk, Text: "start from the local disk"}}
	if a.m.Mode == "ram" {
		entries = append(entries, ipxe.Entry{Name: entryRAM, Text: "start " + a.m.Name + " from memory"})
	} else {
		entries = append(entries, ipxe.Entry{Name: entryInstall, Text: "install " + a.m.Name + " (if it was granted), or start it"})
	}
	entries = append(entries, ipxe.Entry{Name: entryRescue, Text: "rescue: a small system with ssh"}, ipxe.Entry{Name: entryMemtest, Text: "test the memory"})
	for i := range entries {
		entries[i].URL = a.base + scriptName + "?" + replaceEntry(a.call.Request.URL.RawQuery, entries[i].Name)
	}
	if !slices.ContainsFunc(entries, func(e ipxe.Entry) bool { return e.Name == standard }) {
		standard = entryDisk
	}
	return ipxe.Menu(a.m.Name, entries, standard, wait)
}

// replaceEntry is the same question with a choice.
func replaceEntry(query, entry string) string {
	var kept []string
	for _, part := range strings.Split(query, "&") {
		if part != "" && !strings.HasPrefix(part, "entry=") {
			kept = append(kept, part)
		}
	}
	return strings.Join(append(kept, "entry="+entry), "&")
}
