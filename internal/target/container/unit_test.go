package container

import (
	"reflect"
	"strings"
	"testing"

	"slipway/internal/machine"
)

func TestParseCgroups(t *testing.T) {
	for _, c := range []struct {
		name, mounts, self string
		want               cgroupHost
	}{
		{
			"hybrid",
			"33 31 0:30 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n" +
				"34 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
				"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
			"4:memory:/a\n3:cpu,cpuacct:/\n0::/b\n",
			cgroupHost{
				unified: "/sys/fs/cgroup/unified", own: "/b",
				v1:    map[string]string{"memory": "/sys/fs/cgroup/memory", "cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"},
				ownV1: map[string]string{"memory": "/a", "cpu": "/", "cpuacct": "/"},
			},
		},
		{
			"unified",
			"30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
			"0::/user.slice/user-1000.slice/a.scope\n",
			cgroupHost{unified: "/sys/fs/cgroup", own: "/user.slice/user-1000.slice/a.scope", v1: map[string]string{}, ownV1: map[string]string{}},
		},
		{"nonsense", "x\n - \n1 2 3 4 5 - cgroup2\n", "::\nx", cgroupHost{v1: map[string]string{}, ownV1: map[string]string{}}},
	} {
		got := parseCgroups(strings.NewReader(c.mounts), strings.NewReader(c.self))
		if !reflect.DeepEqual(*got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", c.name, *got, c.want)
		}
	}
}

func FuzzParseCgroups(f *testing.F) {
	f.Add("41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "0::/b\n")
	f.Fuzz(func(t *testing.T, mounts, self string) {
		parseCgroups(strings.NewReader(mounts), strings.NewReader(self))
	})
}

func TestSettings(t *testing.T) {
	got := settings(machine.Limits{Memory: 1 << 30, CPUs: 1.5, Tasks: 100})
	if len(got) != 3 || got[0].value2 != "1073741824" || got[1].value2 != "100" || got[2].value2 != "150000 100000" {
		t.Errorf("got %+v", got)
	}
	if got := settings(machine.Limits{}); len(got) != 0 {
		t.Errorf("no limits give %+v", got)
	}
}
