package netboot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"slipway/internal/machine"
)

func node(name, match string) string {
	return fmt.Sprintf("slipway: v1\nname: %s\nsystem: debian/trixie\narch: amd64\nnetboot: {match: %s}\n", name, match)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// notes gathers what a folder says.
type notes struct {
	sync.Mutex
	list []string
}

func (n *notes) add(s string) {
	n.Lock()
	defer n.Unlock()
	n.list = append(n.list, s)
}

func (n *notes) has(text string) bool {
	n.Lock()
	defer n.Unlock()
	return strings.Contains(strings.Join(n.list, "\n"), text)
}

func TestFolder(t *testing.T) {
	dir, said := t.TempDir(), new(notes)
	write(t, dir, "a.yaml", node("a", `{mac: "52:54:00:00:00:0a"}`))
	write(t, dir, "b.yaml", node("b", `{serial: B1, mac: "52:54:00:00:00:0b"}`))
	write(t, dir, "any.yaml", node("any", "{any: true}"))
	write(t, dir, "plain.yaml", "slipway: v1\nname: plain\nsystem: debian/trixie\n")
	write(t, dir, "base.yaml", "slipway: v1\nname: base\nsystem: debian/trixie\narch: amd64\nnetboot: {mode: ram}\n")
	write(t, dir, "rack.yaml", "slipway: v1\nbase: base.yaml\nmachines:\n  - {name: r1, match: {switch_port: tor3/eth17}}\n  - {name: r2, match: {uuid: 4C4C4544-0042-3510-8054-b9c04f4e4d32}, address: 192.0.2.7}\n")
	f, err := OpenFolder(dir, machine.Options{HostArch: "amd64"}, said.add)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		facts Facts
		want  string
	}{
		{Facts{MAC: "52:54:00:00:00:0A"}, "a"},
		{Facts{MAC: "52:54:00:00:00:0b"}, "b"},
		{Facts{MAC: "52:54:00:00:00:0b", SMBIOS: true, Serial: "B1"}, "b"},
		{Facts{MAC: "52:54:00:00:00:0b", SMBIOS: true, Serial: "other"}, "any"},
		{Facts{MAC: "52:54:00:00:00:0c", Remote: "tor3", Circuit: "eth17"}, "r1"},
		{Facts{MAC: "52:54:00:00:00:0c", UUIDs: []string{"4c4c4544-0042-3510-8054-b9c04f4e4d32"}}, "r2"},
		{Facts{MAC: "52:54:00:00:00:0c"}, "any"},
	} {
		if m := f.Roster().Find(c.facts); m == nil || m.Name != c.want {
			t.Errorf("%+v is %+v, want %s", c.facts, m, c.want)
		}
	}
	if !said.has("plain.yaml has no key netboot") {
		t.Errorf("it said %q", said.list)
	}
	if said.has("base.yaml") {
		t.Errorf("the base of a list was taken for a machine: %q", said.list)
	}
}

func TestFolderDuplicates(t *testing.T) {
	dir, said := t.TempDir(), new(notes)
	write(t, dir, "a.yaml", node("a", `{mac: "52:54:00:00:00:0a"}`))
	write(t, dir, "b.yaml", node("b", `{mac: "52:54:00:00:00:0A"}`))
	write(t, dir, "c.yaml", node("a", `{mac: "52:54:00:00:00:0c"}`))
	if _, err := OpenFolder(dir, machine.Options{}, said.add); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"machine b has the hardware address 52:54:00:00:00:0a, which a has too (" + dir + "/a.yaml:5",
		"c.yaml:5:11: there is another machine a at " + dir + "/a.yaml:5",
	} {
		if !said.has(want) {
			t.Errorf("it said %q, want %q", said.list, want)
		}
	}
}

// A change acts within a second; a broken file keeps what it was.
func TestFolderChanges(t *testing.T) {
	dir, said := t.TempDir(), new(notes)
	write(t, dir, "a.yaml", node("a", `{mac: "52:54:00:00:00:0a"}`))
	f, err := OpenFolder(dir, machine.Options{}, said.add)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	changed := make(chan []string, 16)
	go f.Watch(ctx, func(names []string) { changed <- names })
	time.Sleep(50 * time.Millisecond) // until the kernel watches
	find := func(mac string) string {
		if m := f.Roster().Find(Facts{MAC: mac}); m != nil {
			return m.Name
		}
		return ""
	}
	within := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(3 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not after 3 seconds; it said %q", what, said.list)
			}
		}
	}
	write(t, dir, "b.yaml", node("b", `{mac: "52:54:00:00:00:0b"}`))
	within("a new file", func() bool { return find("52:54:00:00:00:0b") == "b" })
	write(t, dir, "a.yaml", "slipway: v1\nname: a\nnetbot: 3\n")
	within("a broken file", func() bool { return said.has("netbot") && said.has("its last good version is served") })
	if find("52:54:00:00:00:0a") != "a" {
		t.Error("a broken file took its machine away")
	}
	write(t, dir, "a.yaml", node("a2", `{mac: "52:54:00:00:00:0a"}`))
	within("a repaired file", func() bool { return find("52:54:00:00:00:0a") == "a2" })
	os.Remove(filepath.Join(dir, "b.yaml"))
	within("a removed file", func() bool { return find("52:54:00:00:00:0b") == "" })
}
