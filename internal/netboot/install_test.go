package netboot

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/machine"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/token"
)

// deciding is a server of one machine on a disk; its function gives the script,
// and is told how the time goes.
func deciding(t *testing.T, more string) (*fleet.Fleet, func(later time.Duration) string) {
	t.Helper()
	const mac = "52:54:00:04:04:03"
	dir := t.TempDir()
	for _, name := range []string{"vmlinuz", "initrd"} {
		write(t, dir, name, name)
	}
	write(t, dir, "node.yaml", "slipway: v1\nname: node\nsystem: debian/trixie\narch: amd64\nnetboot: {mode: install, disk: \"serial:X\", match: {mac: \""+mac+"\"}"+more+"}\n")
	folder, err := OpenFolder(filepath.Join(dir, "node.yaml"), machine.Options{HostArch: "amd64"}, func(s string) { t.Error(s) })
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.New(t.Context(), fleet.NewMemory(fleet.Limits{}), fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	now := time.Now()
	small := &System{Version: "small", Kernel: filepath.Join(dir, "vmlinuz"), Initrd: filepath.Join(dir, "initrd")}
	s := &Server{Roster: folder.Roster, Fleet: f, Images: Fixed{NodeSystem: small}, Node: http.NotFoundHandler(), Now: func() time.Time { return now },
		systems: map[string]*held{}, recent: map[string][]string{}, httpPort: 80}
	t.Cleanup(func() { s.Artefacts.Close() })
	return f, func(later time.Duration) string {
		t.Helper()
		now = now.Add(later)
		c, err := s.content(t.Context(), boothttp.Call{Token: "T", Name: scriptName, Claim: token.Claim{Client: mac},
			From: netip.MustParseAddr("192.0.2.9"), Local: netip.MustParseAddr("192.0.2.1"), Request: httptest.NewRequest("GET", "/b/T/"+scriptName, nil)})
		if err != nil {
			t.Fatal(err)
		}
		switch text := string(c.Bytes); {
		case strings.Contains(text, "slipway.node="):
			return "small system"
		case strings.Contains(text, "sanboot") && strings.Contains(text, "chain"):
			return "disk, or ask again"
		case strings.Contains(text, "sanboot"):
			return "disk"
		default:
			return text
		}
	}
}

func installedOn(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	if err := f.Update(t.Context(), "node", func(n *fleet.Node) error { n.Installed = "v1"; return nil }); err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s it gets %q, want %q", what, got, want)
	}
}

func TestInstallDecisions(t *testing.T) {
	f, script := deciding(t, "")
	want(t, "when nothing is known of it", script(0), "small system")
	installedOn(t, f)
	want(t, "installed", script(time.Minute), "disk")
	want(t, "back at once", script(time.Second), "disk")
	if _, err := f.Give(t.Context(), "node", "install", "test", time.Hour); err != nil {
		t.Fatal(err)
	}
	want(t, "granted", script(time.Minute), "small system")
}

// A machine that may recover is looked at when it is back at once, and not for
// ever: one that is only restarted soon gets to its disk.
func TestRecoverDecisions(t *testing.T) {
	f, script := deciding(t, ", recover: true")
	installedOn(t, f)
	want(t, "installed", script(0), "disk, or ask again")
	want(t, "back at once", script(5*time.Second), "small system")
	want(t, "sent to its disk by the small system", script(time.Minute), "disk, or ask again")
	want(t, "back after a day", script(24*time.Hour), "disk, or ask again")
}

// Another system's installer is started by a grant alone.
func TestForeignIsNeverImaged(t *testing.T) {
	_, script := deciding(t, ", installer: {kernel: ./vmlinuz, initrd: ./initrd}")
	want(t, "without a grant", script(0), "disk")
	want(t, "back at once", script(time.Second), "disk")
}
