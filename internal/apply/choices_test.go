package apply

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"slipway/internal/machine"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "rewrite what the golden files expect")

// TestChoices writes each statement of testdata/choices in the words of every
// backend, resolver or time service that the lines "# try:" name: a system, an
// init, and keys. What each adds to /etc, or why it is refused, is what the
// file expects.
func TestChoices(t *testing.T) {
	files, _ := filepath.Glob("testdata/choices/*.txtar")
	if len(files) == 0 {
		t.Fatal("no golden files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			golden := txtar.Parse(data)
			got := &txtar.Archive{Comment: golden.Comment}
			for _, line := range strings.Split(string(golden.Comment), "\n") {
				if words, ok := strings.CutPrefix(line, "# try: "); ok {
					got.Files = append(got.Files, tried(t, strings.Fields(words), string(golden.Comment))...)
				}
			}
			if *update {
				if err := os.WriteFile(file, txtar.Format(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(data), string(txtar.Format(got))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// tried applies a statement with the keys of one line.
func tried(t *testing.T, words []string, statement string) []txtar.File {
	title := strings.Join(words, " ")
	dir := t.TempDir()
	text := fmt.Sprintf("slipway: v1\nname: m\nsystem: %s\ninit: %s\n", words[0], words[1])
	for _, word := range words[2:] {
		if key, value, ok := strings.Cut(word, "="); ok {
			text += key + ": " + value + "\n"
		}
	}
	name := filepath.Join(dir, "m.yaml")
	if err := os.WriteFile(name, []byte(text+statement), 0o644); err != nil {
		t.Fatal(err)
	}
	refusal := func(err error) []txtar.File {
		said := strings.ReplaceAll(err.Error(), name, "m.yaml")
		return []txtar.File{{Name: title + ": refused", Data: []byte(said + "\n")}}
	}
	d, err := machine.Load(name, machine.Options{HostArch: "amd64"})
	if err != nil {
		return refusal(err)
	}
	f := choiceTree(t, d)
	f.env.Container = strings.Contains(title, " container")
	before := f.snapshot()
	if err := f.apply(*d); err != nil {
		return refusal(err)
	}
	var out []txtar.File
	after := f.snapshot()
	for path, text := range after {
		if before[path] != text {
			out = append(out, txtar.File{Name: title + ": " + path, Data: []byte(text)})
		}
	}
	for path := range before {
		if _, there := after[path]; !there {
			out = append(out, txtar.File{Name: title + ": " + path + " is removed"})
		}
	}
	sort.Slice(out, func(i, k int) bool { return out[i].Name < out[k].Name })
	return out
}

// choiceTree has every program and every service there is to choose from.
func choiceTree(t *testing.T, d *machine.Definition) *fixture {
	f := newFixture(t)
	f.env.Family, f.env.Init = d.Family(), d.InitSystem()
	if d.Family() == "apk" {
		f.link("/bin/busybox", "/usr/sbin/ntpd")
		if d.NetworkBackend == "busybox" {
			f.link("/bin/busybox", "/sbin/ifup")
		} else {
			f.put("/sbin/ifup", "")
		}
		f.put("/bin/busybox", "")
		f.put("/sbin/udhcpc", "")
		f.put("/etc/udhcpc/udhcpc.conf", "# RESOLV_CONF=\"no\"\n")
		f.put("/etc/chrony/chrony.conf", "# default config\n\npool pool.ntp.org iburst\ninitstepslew 10 pool.ntp.org\ndriftfile /var/lib/chrony/chrony.drift\n")
		f.put("/etc/ntpd.conf", "servers pool.ntp.org\nserver time.cloudflare.com\nsensor *\n\nconstraint from \"9.9.9.9\"\n")
		for _, name := range []string{"networking", "chronyd", "openntpd", "ntpd"} {
			f.put("/etc/init.d/"+name, "")
		}
		f.link("/etc/init.d/ntpd", "/etc/runlevels/default/ntpd")
		f.put("/usr/sbin/chronyd", "")
		return f
	}
	for _, name := range []string{
		"/usr/lib/systemd/systemd-networkd", "/usr/lib/systemd/systemd-timesyncd", "/usr/sbin/NetworkManager", "/usr/sbin/chronyd", "/usr/sbin/ntpd",
		"/usr/sbin/ifup", "/usr/sbin/dhcpcd", "/usr/sbin/dhclient", "/etc/network/if-pre-up.d/ifenslave", "/etc/init.d/chrony", "/etc/init.d/openntpd",
	} {
		f.put(name, "")
	}
	if strings.Contains(d.Resolver, "conf") {
		f.put("/usr/sbin/resolvconf", "")
	} else {
		f.put(unitLib+"systemd-resolved.service", "[Install]\nWantedBy=sysinit.target\nAlias=dbus-org.freedesktop.resolve1.service\n")
	}
	f.link("../run/systemd/resolve/stub-resolv.conf", "/etc/resolv.conf")
	f.put("/etc/dhcpcd.conf", "duid\n")
	f.put("/etc/chrony/chrony.conf", "confdir /etc/chrony/conf.d\n\n# Use Debian vendor zone.\npool 2.debian.pool.ntp.org iburst\n\nmakestep 1 3\n")
	f.put("/etc/openntpd/ntpd.conf", "#server ntp.example.org\nservers 0.debian.pool.ntp.org\nservers 1.debian.pool.ntp.org\n")
	for _, name := range []string{"systemd-networkd", "networking", "NetworkManager", "systemd-timesyncd", "chrony", "openntpd"} {
		f.put(unitLib+name+".service", "[Install]\nWantedBy=multi-user.target\n")
		f.link(unitLib+name+".service", "/etc/systemd/system/multi-user.target.wants/"+name+".service")
	}
	return f
}

// snapshot is everything below /etc: a link as its target, a file with its
// mode if that is not the usual one.
func (f *fixture) snapshot() map[string]string {
	all := map[string]string{}
	etc := filepath.Join(f.dir, "etc")
	err := filepath.WalkDir(etc, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name := strings.TrimPrefix(path, f.dir)
		if target, err := os.Readlink(path); err == nil {
			all[name] = "-> " + target + "\n"
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if info.Mode().Perm() != 0o644 {
			name += fmt.Sprintf(" %04o", info.Mode().Perm())
		}
		if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
			f.t.Errorf("%s has no last newline", name)
		}
		all[name] = string(data)
		return nil
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

// TestTwoForOneWork: a service that was not chosen is not started by the back door.
func TestTwoForOneWork(t *testing.T) {
	d := machine.Definition{
		System: "debian/trixie", NetworkBackend: "ifupdown", Network: []machine.Network{{Match: "eth0", DHCP: true}},
		Services: machine.Services{Enable: []string{"nginx", "NetworkManager"}},
	}
	f := choiceTree(t, &d)
	f.refused(d, "services.enable starts NetworkManager.service", "networking.service")
	d.Services.Enable = nil
	f.must(d)
	f.absent("/etc/systemd/system/multi-user.target.wants/NetworkManager.service")
	f.refused(machine.Definition{System: "debian/trixie", Time: machine.Time{Service: "ntpd"}}, "the machine has no ntpd")
}
