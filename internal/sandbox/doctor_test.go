package sandbox

import (
	"errors"
	"fmt"
	"testing"
)

func TestChecks(t *testing.T) {
	h := testHost(t)
	seen := map[string]bool{}
	for _, c := range h.Checks(t.Context(), testDir(t)) {
		t.Logf("%-16s %-5v %s | %s", c.Name, c.OK, c.Detail, c.Fix)
		seen[c.Name] = true
		if c.Detail == "" {
			t.Errorf("%s says nothing", c.Name)
		}
		needed := c.Name != "control groups" && c.Name != "KVM"
		if needed && !c.OK {
			t.Errorf("%s: %s, although workers start here", c.Name, c.Detail)
		}
	}
	for _, name := range []string{"user namespace", "file owners", "overlay", "sandbox", "control groups", "KVM"} {
		if !seen[name] {
			t.Errorf("%s was not checked", name)
		}
	}
}

func TestParseCgroups(t *testing.T) {
	const v2 = "30 25 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	const v1 = "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
		"32 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
	const hybrid = v1 + "33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
	tests := []struct {
		name, mounts, groups  string
		layout, own, cpuMount string
	}{
		{"v2", v2, "0::/user.slice/a\n", "v2", "/sys/fs/cgroup/user.slice/a", ""},
		{"hybrid", hybrid, "3:cpu,cpuacct:/\n0::/\n", "hybrid", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/cpu,cpuacct"},
		{"v1", v1, "3:cpu,cpuacct:/\n", "v1", "", "/sys/fs/cgroup/cpu,cpuacct"},
		{"outside path", v2, "0::/../..\n", "v2", "/sys/fs/cgroup", ""},
		{"nothing", "garbage\n - \n", "", "none", "", ""},
	}
	for _, tt := range tests {
		c := parseCgroups(tt.mounts, tt.groups)
		if c.Layout != tt.layout || c.Own != tt.own || c.Controllers["cpu"] != tt.cpuMount {
			t.Errorf("%s: got %+v", tt.name, c)
		}
	}
}

func FuzzParseCgroups(f *testing.F) {
	f.Add("30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", "0::/a\n")
	f.Fuzz(func(t *testing.T, mounts, groups string) {
		c := parseCgroups(mounts, groups)
		if c.Own != "" && c.Unified == "" {
			t.Errorf("%+v", c)
		}
	})
}

func TestExplainSeparatesCauseFromCure(t *testing.T) {
	one := &Problem{Text: "newuidmap is not installed", Fix: "install uidmap"}
	two := &Problem{Text: "no line in /etc/subuid", Fix: "run usermod"}
	for _, c := range []struct {
		err         error
		detail, fix string
	}{
		{one, one.Text, one.Fix},
		{errors.Join(one, two, two), one.Text + "; " + two.Text + "; " + two.Text, "install uidmap; then run usermod"},
		{fmt.Errorf("starting: %w", one), "starting: newuidmap is not installed; install uidmap", "install uidmap"},
		{errors.New("broken"), "broken", ""},
	} {
		if detail, fix := explain(c.err); detail != c.detail || fix != c.fix {
			t.Errorf("%v: got %q and %q", c.err, detail, fix)
		}
	}
}
