package netboot

import (
	"errors"
	"io/fs"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/fleet/logs"
	"slipway/internal/machine"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/token"
)

// A machine with netboot.installer is given its distribution's installer once in
// a grant's life, and its answer to it alone.
func TestForeignInstaller(t *testing.T) {
	const mac, other = "52:54:00:04:04:03", "52:54:00:04:04:04"
	dir := t.TempDir()
	for _, name := range []string{"vmlinuz", "initrd"} {
		write(t, dir, name, name)
	}
	write(t, dir, "node.yaml", "slipway: v1\nname: node\nsystem: debian/bookworm\narch: amd64\nnetboot: {mode: install, disk: \"serial:X\", match: {mac: \""+mac+
		"\"}, installer: {kernel: ./vmlinuz, initrd: ./initrd, keyboard: ch}}\n")
	folder, err := OpenFolder(filepath.Join(dir, "node.yaml"), machine.Options{HostArch: "amd64"}, func(s string) { t.Error(s) })
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.New(t.Context(), fleet.NewMemory(fleet.Limits{}), fleet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s := &Server{Roster: folder.Roster, Fleet: f, Images: Fixed{}, systems: map[string]*held{}, recent: map[string][]string{}, httpPort: 80}
	s.Logs, s.SyslogPort = &logs.Receiver{Sink: s}, 514
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Artefacts.Close() })
	get := func(client, name string) (string, error) {
		c, err := s.content(t.Context(), boothttp.Call{Token: "T", Name: strings.SplitN(name, "?", 2)[0], Claim: token.Claim{Client: client},
			From: netip.MustParseAddr("192.0.2.9"), Local: netip.MustParseAddr("192.0.2.1"), Request: httptest.NewRequest("GET", "/b/T/"+name, nil)})
		return string(c.Bytes), err
	}
	if text, err := get(mac, scriptName); err != nil || strings.Contains(text, "vmlinuz") {
		t.Errorf("without a grant: %q, %v", text, err)
	}
	if _, err := get(mac, "i/preseed.cfg"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an answer before the installer was let start: %v", err)
	}
	if _, err := f.Give(t.Context(), "node", "install", "test", time.Hour); err != nil {
		t.Fatal(err)
	}
	text, err := get(mac, scriptName)
	if err != nil || !strings.Contains(text, "/vmlinuz") || !strings.Contains(text, "url=http://192.0.2.1/b/T/i/preseed.cfg") || !strings.Contains(text, "keymap=ch") ||
		!strings.Contains(text, "log_host=192.0.2.1 log_port=514") {
		t.Fatalf("the script: %q, %v", text, err)
	}
	if text, err = get(mac, "i/preseed.cfg"); err != nil || !strings.Contains(text, "partman-auto/expert_recipe") {
		t.Errorf("its answer: %q, %v", text, err)
	}
	if _, err := get(other, "i/preseed.cfg"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("another machine's answer: %v", err)
	}
	if _, err := get(mac, "i/nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that no answer has: %v", err)
	}
	if text, err := get(mac, scriptName); err != nil || strings.Contains(text, "vmlinuz") || !strings.Contains(text, "slipway reinstall node") {
		t.Errorf("it came again, and nobody knows what it wrote: %q, %v", text, err)
	}
	if _, err := get(mac, "i/report?stage=installed&text=node"); err != nil {
		t.Fatal(err)
	}
	if g, err := f.Grant(t.Context(), "node"); err != nil || g.State != fleet.Consumed || g.Evidence != "report" {
		t.Errorf("the grant after the report: %+v, %v", g, err)
	}
	if _, err := get(mac, "i/preseed.cfg"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("an answer after the installation: %v", err)
	}
}
