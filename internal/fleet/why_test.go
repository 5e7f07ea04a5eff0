package fleet

import (
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// script makes events a second apart: kind, then stage or nothing, then
// key=value pairs of which problem, text, bytes and total are the event's own.
func script(lines ...string) []Event {
	var events []Event
	for i, line := range lines {
		words := strings.Split(line, "|")
		e := Event{Time: start.Add(time.Duration(i) * time.Second), Machine: "web", Client: "52:54:00:00:00:01", Kind: words[0], Fields: map[string]string{}}
		for _, w := range words[1:] {
			key, value, pair := strings.Cut(w, "=")
			switch {
			case !pair:
				e.Stage = key
			case key == "problem":
				e.Problem = value
			case key == "text":
				e.Text = value
			default:
				e.Fields[key] = value
			}
		}
		events = append(events, e)
	}
	return events
}

var (
	firmware = []string{"dhcp.discover|firmware|vendor_class=PXEClient:Arch:00007|arch=7"}
	address  = append(firmware[:1:1], "dhcp.offer", "dhcp.ack|dhcp")
	loader   = append(address[:3:3], "tftp.start|file=snponly.efi", "tftp.done|loader|file=snponly.efi")
	menu     = append(loader[:5:5], "dhcp.discover|vendor_class=PXEClient|user_class=iPXE", "script.served|script")
	kernel   = append(menu[:7:7], "http.start|file=vmlinuz", "http.done|kernel|file=vmlinuz")
	initrd   = append(kernel[:9:9], "http.start|file=initrd", "http.done|initrd|file=initrd")
	booted   = append(initrd[:11:11], "node.init|init", "node.network|network")
	up       = append(booted[:13:13], "node.report|login")
)

func with(base []string, more ...string) []string { return append(base[:len(base):len(base)], more...) }

func TestEachCause(t *testing.T) {
	tests := []struct {
		cause  string
		events []string
		detail string
	}{
		{"panic", with(initrd, "console|text=[ 1.2] Kernel panic - not syncing: VFS: Unable to mount root fs"), "not syncing"},
		{"memory", with(menu, "script.served|problem=needs 2 GiB and has 512 MiB|cause=memory"), "512 MiB"},
		{"corrupt", with(booted, "node.problem|cause=corrupt|problem=the root at offset 4096: its bytes are not those that were signed"), "offset 4096"},
		{"key", with(booted, "node.problem|cause=key|problem=the order is not signed with the key"), "not signed"},
		{"firmware", with(booted, "node.log|text=r8169 0000:01:00.0: Direct firmware load for rtl_nic/rtl8168h-2.fw failed"), "rtl8168h"},
		{"disk", with(booted, "install.failed|install|cause=disk|problem=no disk is serial:WD-123 (netboot.disk); it has: sda 10 MiB"), "WD-123"},
		{"disk", with(booted, "install.failed|install|problem=0 disks with the serial number WD-123"), "WD-123"},
		{"state", with(booted, "node.problem|cause=state|problem=/dev/sda is to keep the state of web: it is not empty"), "not empty"},
		{"installer", with(booted, "install.begin|install", "install.failed|problem=the disk gave an error at 4096"), "4096"},
		{"disk", with(booted, "install.failed|install|cause=disk|problem=no disk is serial:WD-123", "node.init|init|problem=no disk is serial:WD-123"), "WD-123"},
		{"token", with(loader, "http.refused|problem=token of 52:54:00:00:00:02 used by another client"), "another client"},
		{"probe", with(up, "probe.ok|probe=ssh", "probe.failed|probe=page|problem=got status 502"), "page: got status 502"},
		{"redirect", with(loader, "http.redirect|problem=asked below /boot/, as a proxy rewrites it"), "proxy"},
		{"architecture", with(firmware, "dhcp.discover|cause=architecture|problem=architecture 99 is in no table"), "99"},
		{"architecture", with(firmware, "dhcp.ack|dhcp", "tftp.done|loader|file=undionly.kpxe"), "undionly.kpxe"},
		{"missing-file", with(address, "tftp.error|file=pxelinux.0|problem=no such file"), "pxelinux.0"},
		{"missing-file", with(loader, "http.missing|file=boot.php|problem=no such file"), "boot.php"},
		{"exhausted", with(firmware, "dhcp.discover|cause=exhausted|problem=no free address in 10.0.0.0/24"), "10.0.0.0/24"},
		{"address", with(firmware, "dhcp.offer", "dhcp.decline|problem=10.0.0.7 is in use"), "10.0.0.7"},
		{"rival", with(firmware, "dhcp.offer", "dhcp.rival|server=192.168.1.1|problem=another DHCP server"), "192.168.1.1"},
		{"transfer", with(menu, "http.start|file=vmlinuz", "http.abort|file=vmlinuz|problem=the client closed"), "vmlinuz"},
		{"transfer", with(address, "tftp.start|file=snponly.efi", "tftp.abort|file=snponly.efi|problem=no acknowledgement for 15 s"), "15 s"},
		{"busy", with(kernel, "http.busy|text=12 of 640"), "12 of 640"},
		{"problem", with(booted, "node.problem|problem=something new"), "something new"},
		{"silent", nil, ""},
		{"silent", []string{"power.wake"}, ""},
		{"no-4011", with(firmware, "dhcp.offer|recipe=server"), ""},
		{"offer-ignored", with(firmware, "dhcp.offer"), ""},
		{"no-loader", address, ""},
		{"secure-boot", loader, "UEFI"},
		{"loader-hangs", []string{"dhcp.discover|firmware|arch=0|vendor_class=PXEClient", "dhcp.ack|dhcp", "tftp.done|loader|file=undionly.kpxe"}, ""},
		{"menu", menu, ""},
		{"no-initrd", kernel, ""},
		{"no-phone-home", initrd, ""},
		{"no-network", with(initrd, "node.init|init"), ""},
		{"no-login", booted, ""},
		{"install-stalled", with(booted, "install.begin|install"), ""},
		{"unproven", up, ""},
	}
	tested := map[string]bool{}
	for _, tc := range tests {
		t.Run(tc.cause, func(t *testing.T) {
			a := Why("web", script(tc.events...), start.Add(time.Hour))
			if a.Cause != tc.cause || !strings.Contains(a.Detail, tc.detail) {
				t.Errorf("got cause %q (%q), want %q (%q)", a.Cause, a.Detail, tc.cause, tc.detail)
			}
			if a.Text == "" || a.Cure == "" || a.Missing == "" || a.State == StateProven {
				t.Errorf("incomplete: %+v", a)
			}
			if len(tc.events) > 1 && tc.cause != "busy" {
				healthy := with(tc.events, "dhcp.discover|firmware|vendor_class=PXEClient:Arch:00007|arch=7")
				events := script(healthy...)
				events[len(events)-1].Time = start.Add(30 * time.Minute)
				if a := Why("web", events, start.Add(30*time.Minute+time.Second)); a.State != StateWaiting {
					t.Errorf("after the next power-on the old fault is still told: %+v", a)
				}
			}
		})
		tested[tc.cause] = true
	}
	for _, c := range Causes {
		if !tested[c.Name] {
			t.Errorf("no test makes the cause %s happen", c.Name)
		}
	}
}

func TestHealthyBoots(t *testing.T) {
	for name, lines := range map[string][]string{
		"proven":             with(up, "probe.ok|probe=page", "node.report|proven"),
		"size probe":         with(address, "tftp.probe|file=snponly.efi", "tftp.start|file=snponly.efi"),
		"autoexec is absent": with(loader, "tftp.error|file=/autoexec.ipxe|problem=no such file"),
		"retried":            with(menu, "http.start|file=vmlinuz", "http.abort|file=vmlinuz|problem=closed", "http.start|file=vmlinuz"),
		"rival was ignored":  with(address, "dhcp.rival|server=192.168.1.1|problem=another DHCP server"),
		"beside a proxy":     with(firmware, "dhcp.proxy", "dhcp.rival|server=192.168.1.1"),
		"installs again":     with(booted, "install.failed|install|cause=disk|problem=no disk is serial:X", "install.begin|install"),
		"probe recovered":    with(up, "probe.failed|probe=page|problem=refused", "probe.ok|probe=page"),
	} {
		events := script(lines...)
		a := Why("web", events, events[len(events)-1].Time.Add(time.Second))
		if a.State != StateProven && a.State != StateWaiting {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestTimelineTellsBootsApart(t *testing.T) {
	install := with(booted, "install.begin|install", "install.done|install")
	var lines []string
	lines = append(lines, install...)
	lines = append(lines, firmware...)
	lines = append(lines, firmware...) // retries
	lines = append(lines, "dhcp.ack|dhcp", "tftp.done|loader|file=snponly.efi", "script.served|script", "node.init|init", "node.report|proven")
	lines = append(lines, "node.init|init", "node.report|proven") // restarted from its disk
	boots := Timeline(script(lines...))
	var got []string
	for _, b := range boots {
		var stages []string
		for _, s := range b.Steps {
			stages = append(stages, s.Stage)
		}
		got = append(got, strings.Join(stages, " "))
	}
	want := []string{"firmware dhcp loader script kernel initrd init network install", "firmware dhcp loader script init proven", "init proven"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, s := range boots[0].Steps[1:] {
		if s.Took <= 0 || s.After < s.Took {
			t.Errorf("step %+v", s)
		}
	}
}

// A machine that was given the last good version is well, and that is said.
func TestWhyFellBack(t *testing.T) {
	f, err := New(t.Context(), NewMemory(Limits{}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	back := map[string]string{FieldVersion: "v1", FieldPassed: "v2"}
	now := time.Now()
	events := []Event{
		{Time: now, Machine: "a", Kind: KindScript, Stage: StageScript},
		{Time: now.Add(1), Machine: "a", Kind: KindBack, Text: "the last good version, v1", Fields: back},
		{Time: now.Add(2), Machine: "a", Kind: KindProven, Stage: StageProven, Fields: map[string]string{FieldVersion: "v1"}},
	}
	for _, e := range events {
		f.Record(e)
	}
	if a := Why("a", events, now); a.State != StateProven || !strings.Contains(a.Note, "the last good version, v1") {
		t.Errorf("got %+v", a)
	}
	if n, _ := f.Node("a"); n.Passed != "v2" || n.Good != "v1" {
		t.Errorf("the machine is %+v", n)
	}
	f.Record(Event{Time: now.Add(time.Minute), Machine: "a", Kind: KindScript, Stage: StageScript})
	if n, _ := f.Node("a"); n.Passed != "" {
		t.Errorf("the next boot is still one with %s passed over", n.Passed)
	}
}

// A clock that is set back does not hide what comes after.
func TestClockSetBack(t *testing.T) {
	events := script(with(booted, "node.problem|problem=an old fault")...)
	later := script(with(firmware, "dhcp.discover|cause=exhausted|problem=no free address")...)
	for i := range later {
		later[i].Time = later[i].Time.Add(-time.Hour)
	}
	all := append(events, later...)
	now := all[len(all)-1].Time
	if a := Why("web", all, now); a.Cause != "exhausted" || !a.Since.Equal(now) {
		t.Errorf("after the clock was set back: %+v", a)
	}
	if boots := Timeline(all); len(boots) != 2 || boots[0].Reached() != StageNetwork {
		t.Errorf("%d boots: %+v", len(boots), boots)
	}
	var n Node
	for _, e := range all {
		n.apply(e)
	}
	if n.Boots != 2 || !n.LastHeard.Equal(now) {
		t.Errorf("the machine has booted %d times, and was heard at %s", n.Boots, n.LastHeard)
	}
}
