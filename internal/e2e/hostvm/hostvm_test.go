// Package hostvm runs slipway on a host whose process 1 is systemd and whose
// control groups are cgroup2 alone: a virtual machine that slipway built.
//
// Building inside an emulated machine would take minutes. So a store with a
// built tree is handed over through a share, and everything inside runs with
// --offline.
package hostvm

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
	"slipway/internal/sandbox"
)

func TestMain(m *testing.M) { kit.Main(m) }

// hello is the machine that runs inside.
const hello = `slipway: v1
name: hello
system: debian/trixie
packages: [nginx-light]
files:
  - {path: /var/www/html/index.html, content: "afloat\n"}
services: {enable: [nginx]}
container: {limits: {memory: 300M, tasks: 150}}
probes:
  - {name: page, http: {url: "http://machine:80/", status: 200, contains: afloat}}
  - {name: units, no_failed_units: true}
`

// host is the machine around it. Its user has the ids that the store's trees
// belong to.
const host = `slipway: v1
name: host
system: debian/trixie
packages: [dbus, dbus-user-session, libpam-systemd, uidmap]
users:
  - {name: ops, uid: 1500, shell: /bin/bash}
files:
  - {path: /usr/local/bin/slipway, from: %[1]s, mode: "0755"}
  - {path: /etc/subuid, content: "ops:%[3]d:65536\n"}
  - {path: /etc/subgid, content: "ops:%[4]d:65536\n"}
shares:
  - {host: %[2]s, path: /srv/share, read_only: true}
vm: {cpus: 2, memory: 3G}
probes:
  - {name: pure cgroup2, command: "findmnt -n -o FSTYPE /sys/fs/cgroup", stdout: cgroup2}
  - {name: units, no_failed_units: true}
`

// outer is the machine around, seen from the test.
type outer struct {
	*kit.World
	t *testing.T
}

// TestBootHostWithSystemd proves what hosts without systemd cannot: machines of
// root and of a normal user, limits on cgroup2 alone, a scope from the user
// manager, and units that start both machines after the host has restarted.
func TestBootHostWithSystemd(t *testing.T) {
	kit.Tier(t, "boot")
	if os.Geteuid() != 0 {
		t.Skip("only root can hand over a store with the owners of its trees")
	}
	kit.NeedArchive(t)
	kit.NeedMachines(t)
	w := kit.SharedWorld(t)
	share := handOver(t)
	kit.LockQEMU(t)
	ids, err := sandbox.Detect()
	if err != nil {
		t.Fatal(err)
	}
	file := kit.Write(t, w.Dir, "host.yaml", fmt.Sprintf(host, kit.Binary(t), share, ids.UIDs.Start, ids.GIDs.Start))
	r := w.Must("up", file, "--on", "vm")
	t.Logf("the host is up after %s\n%s", r.Took, r.Stdout)

	o := outer{w, t}
	o.root()
	o.user()
	o.restart()
	o.started()
	o.disable()
	w.Must("down", "host")
}

// handOver builds the inner machine into a store of its own, and gives the
// folder with it as an archive: owners and attributes must survive.
func handOver(t *testing.T) string {
	t.Helper()
	w := kit.NewWorld(t)
	share := kit.TempDir(t)
	w.Must("build", kit.Write(t, share, "hello.yaml", hello), "--for", "container")
	out, err := exec.Command("tar", "-C", w.Store, "--numeric-owner", "--xattrs", "--xattrs-include=*",
		"--exclude=./debs", "--exclude=./packs", "--exclude=./tmp", "-cf", filepath.Join(share, "store.tar"), ".").CombinedOutput()
	if err != nil {
		t.Fatalf("packing the store: %v\n%s", err, out)
	}
	return share
}

// unpack is how a store of the archive comes to be in a folder.
const unpack = `mkdir -p %[1]s && tar -C %[1]s --numeric-owner --xattrs --xattrs-include='*' -xf /srv/share/store.tar && `

// inside runs a script as root of the host.
func (o outer) inside(script string) string {
	o.t.Helper()
	begin := time.Now()
	r := o.Run("shell", "host", "sh", "-c", script)
	o.t.Logf("%.1fs: %s\n%s", time.Since(begin).Seconds(), script, r.Text())
	if r.Status != 0 {
		o.t.Fatalf("exit status %d", r.Status)
	}
	return r.Stdout
}

// asUser runs a script in a login session of the normal user.
func (o outer) asUser(script string) string {
	o.t.Helper()
	return o.inside("systemd-run --quiet --wait --pipe --uid=ops -p PAMName=login -p WorkingDirectory=/home/ops bash -ec '" + script + "'")
}

// want demands texts in what a script has printed.
func (o outer) want(what, text string, wanted ...string) {
	o.t.Helper()
	for _, s := range wanted {
		if !strings.Contains(text, s) {
			o.t.Errorf("%s: no %q in\n%s", what, s, text)
		}
	}
}

// limits are those of hello, as the kernel has them.
var limits = []string{"memory.max:314572800\n", "pids.max:150\n"}

func (o outer) root() {
	o.inside(fmt.Sprintf(unpack, "/var/cache/slipway") + "cp /srv/share/hello.yaml /etc/hello.yaml")
	o.want("root's machine", o.inside("slipway up /etc/hello.yaml --offline"), "2 of 2 probes held")
	o.want("root's limits", o.inside("cd /sys/fs/cgroup/slipway; grep . hello-*/memory.max hello-*/pids.max"), limits...)
	o.want("root's list", o.inside("slipway ls"), "hello", "up")
	// The kernel refuses the process that would be one too many.
	o.want("root's limit of tasks", o.inside(`slipway shell hello sh -c 'for i in $(seq 200); do sleep 5 & done; wait' 2>&1 || true`), "fork")
	o.want("root's unit", o.inside("slipway enable hello && systemctl is-enabled slipway-hello"), "enabled")
}

func (o outer) user() {
	o.inside(fmt.Sprintf(unpack, "/home/ops/.cache/slipway") +
		"cp /srv/share/hello.yaml /home/ops/ && find /home/ops -uid 0 -exec chown -h ops:ops {} + && loginctl enable-linger ops")
	o.want("the user's machine", o.asUser("slipway up hello.yaml --offline"), "2 of 2 probes held")
	o.want("the user's scope", o.inside(scopeLimits), limits...)
	o.want("the user's unit", o.asUser("slipway enable hello; systemctl --user is-enabled slipway-hello; slipway down hello"), "enabled")
}

// app is the folder of what the user's manager runs.
const app = "/sys/fs/cgroup/user.slice/user-1500.slice/user@1500.service/app.slice"

// scopeLimits shows the limits of the user's machine, in the scope of its own
// that it has wherever it was started from.
const scopeLimits = "cd " + app + "; grep . slipway-hello-*.scope/hello-*/memory.max slipway-hello-*.scope/hello-*/pids.max"

// restart restarts the host and waits until both units have started.
func (o outer) restart() {
	o.t.Helper()
	const bootID = "cat /proc/sys/kernel/random/boot_id"
	before := o.inside(bootID)
	o.Run("shell", "host", "systemctl", "reboot") // may lose its answer
	ctx, cancel := context.WithTimeout(o.t.Context(), 5*time.Minute)
	defer cancel()
	script := bootID + "; systemctl show -P ActiveState slipway-hello; systemctl --user -M ops@ show -P ActiveState slipway-hello"
	for {
		r := o.Run("shell", "host", "sh", "-c", script)
		lines := strings.Fields(r.Stdout)
		if len(lines) == 3 && lines[0] != strings.TrimSpace(before) && lines[1] == "active" && lines[2] == "active" {
			return
		}
		for _, l := range lines {
			if l == "failed" {
				o.t.Fatalf("a unit failed:\n%s", o.inside("journalctl -b --no-pager -u slipway-hello; journalctl -b --no-pager _UID=1500"))
			}
		}
		select {
		case <-ctx.Done():
			o.t.Fatalf("the units have not started: %s", r.Text())
		case <-time.After(3 * time.Second):
		}
	}
}

// started looks at what the units have started.
func (o outer) started() {
	o.want("root's machine", o.inside("slipway ls"), "hello", "up")
	o.want("root's page", o.inside("slipway with hello -- bash -c 'exec 3<>/dev/tcp/hello/80; printf \"GET / HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3'"), "afloat")
	o.want("root's limits", o.inside("cd /sys/fs/cgroup/slipway; grep . hello-*/memory.max hello-*/pids.max"), limits...)
	o.want("the user's machine", o.asUser("slipway ls"), "hello", "up")
	o.want("the user's limits", o.inside(scopeLimits), limits...)
}

// disable takes the units away; stopping one has taken its machine down.
func (o outer) disable() {
	o.inside("systemctl stop slipway-hello && ! ls -d /sys/fs/cgroup/slipway && slipway disable hello && ! systemctl is-enabled slipway-hello")
	o.asUser("systemctl --user stop slipway-hello; slipway ls; slipway disable hello; ! systemctl --user is-enabled slipway-hello")
	if left := o.inside("find /sys/fs/cgroup -name 'hello-*'; systemctl --failed --no-legend"); left != "" {
		o.t.Errorf("left behind:\n%s", left)
	}
}
