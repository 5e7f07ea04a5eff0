package supervisor

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"slipway/internal/machine"
)

func TestListening(t *testing.T) {
	table := "  sl  local_address rem_address   st\n" +
		"   0: 0100007F:0050 00000000:0000 0A 00000000:00000000\n" +
		"   1: 0100007F:0051 0100007F:1234 01 00000000:00000000\n" +
		"   2: zz:0050 00000000:0000 0A\n"
	if got := listening("tcp", table); !slices.Equal(got, []string{"tcp 127.0.0.1:80"}) {
		t.Errorf("tcp: %v", got)
	}
	six := "   0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 0A\n"
	if got := listening("tcp6", six); !slices.Equal(got, []string{"tcp [::1]:22"}) {
		t.Errorf("tcp6: %v", got)
	}
}

func FuzzListening(f *testing.F) {
	f.Add("   0: 0100007F:0050 00000000:0000 0A\n")
	f.Fuzz(func(t *testing.T, table string) { listening("tcp", table) })
}

func TestBackOff(t *testing.T) {
	start := time.Unix(0, 0)
	b := &backOff{last: start}
	var got []time.Duration
	for range 4 {
		got = append(got, b.next(start))
	}
	got = append(got, b.next(start.Add(time.Hour)))
	ms := time.Millisecond
	if want := []time.Duration{200 * ms, 400 * ms, 800 * ms, 1600 * ms, 200 * ms}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for range 20 {
		b.next(start.Add(time.Hour))
	}
	if b.pause != lastPause {
		t.Errorf("the longest pause is %s", b.pause)
	}
}

func TestUnits(t *testing.T) {
	u, err := systemdUnit("web", upWords("/srv/my web/50%.yaml", "container"), "/usr/local/bin/slipway", "/srv/store")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`ExecStart="/usr/local/bin/slipway" "--store" "/srv/store" "up" "/srv/my web/50%%.yaml"` + "\n",
		`ExecStop="/usr/local/bin/slipway" "--store" "/srv/store" "down" "web"` + "\n", "RemainAfterExit=yes\n",
	} {
		if !strings.Contains(u.Text, want) {
			t.Errorf("the unit lacks %s:\n%s", want, u.Text)
		}
	}
	gone, err := systemdUnit("web", nil, "", "") // as InstalledUnit asks
	if err != nil || gone.Path != u.Path || !slices.Equal(gone.Off, u.Off) {
		t.Errorf("to be removed: %+v, %v; was written: %+v", gone, err, u)
	}
	if u, err := systemdUnit("web", upWords("/web.yaml", "uefi"), "/usr/bin/slipway", ""); err != nil || !strings.Contains(u.Text, `"up" "/web.yaml" "--on" "uefi"`) {
		t.Errorf("on another target: %v\n%s", err, u.Text)
	}
	rc := openrcUnit("web", upWords("/srv/it's.yaml", "container"), "/usr/bin/slipway", "")
	if !strings.HasPrefix(rc.Text, "#!/sbin/openrc-run\n") || !strings.Contains(rc.Text, `'/usr/bin/slipway' 'up' '/srv/it'\''s.yaml'`) {
		t.Errorf("OpenRC:\n%s", rc.Text)
	}
	for _, binary := range []string{filepath.Join(os.TempDir(), "x"), "/home/u/.cache/go-build/ab/slipway", "/usr/bin/slipway (deleted)", "/no/such/slipway"} {
		if err := lasting(binary); err == nil {
			t.Errorf("%s was taken", binary)
		}
	}
}

func TestChanges(t *testing.T) {
	m := &Machine{Record: Record{Target: "container"}, Key: "k"}
	m.rec.Spec.Definition = &machine.Definition{Ports: []machine.Port{{Host: 1, Machine: 2}}}
	same := &machine.Definition{Ports: []machine.Port{{Host: 1, Machine: 2}}, State: []string{}, Probes: []machine.Probe{{Name: "x"}}}
	if got := m.Changes(same, "container", "k"); len(got) != 0 {
		t.Errorf("nothing changed: %v", got)
	}
	got := m.Changes(&machine.Definition{Restart: "always"}, "container", "other")
	if want := []string{"its tree changed (build other, was k)", "ports changed", "restart changed"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestChangedTarget(t *testing.T) {
	m := &Machine{Record: Record{Target: "vm"}, Key: "k"}
	if got := m.Changes(&machine.Definition{}, "uefi", "k"); !slices.Equal(got, []string{"it is to run on target uefi, and runs on vm"}) {
		t.Errorf("got %q", got)
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{"web": true, "a": true, "web-2": true, "": false, "-a": false, "a-": false, "Web": false, "a/b": false, "..": false, strings.Repeat("a", 64): false} {
		if label.MatchString(name) != ok {
			t.Errorf("%q: want %v", name, ok)
		}
	}
}
