package netboot

import (
	"net/http"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/fleet/logs"
	"slipway/internal/netboot/token"
)

// An installer of another distribution posts its logs, tells how it gets on when
// the token of its boot has long expired, and is refused its answer when it is
// on another machine.
func TestInstallerTells(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"vmlinuz", "initrd"} {
		write(t, dir, name, name)
	}
	now := time.Now()
	s := &Server{Images: Fixed{}, SyslogPort: 514, Now: func() time.Time { return now }}
	s.Logs = &logs.Receiver{Sink: s}
	base, heard := serving(t, s, "slipway: v1\nname: node\nsystem: alma/9\narch: amd64\nnetboot: {mode: install, disk: /dev/disk/by-id/x, match: {serial: S1}, installer: {kernel: "+
		filepath.Join(dir, "vmlinuz")+", initrd: "+filepath.Join(dir, "initrd")+", image: \"https://example.org/os/\"}}\n")
	s.tokens.Now = s.Now
	if _, err := s.Fleet.Give(t.Context(), "node", "install", "test", time.Hour); err != nil {
		t.Fatal(err)
	}
	boot := s.Tokens().Mint(token.Claim{Client: "52:54:00:04:04:03", Address: netip.MustParseAddr("127.0.0.1")})
	status, script := fetch(t, base+"/b/"+boot+"/"+scriptName+"?serial=S1")
	if status != http.StatusOK || !strings.Contains(script, "inst.syslog=127.0.0.1:514") || !strings.Contains(script, "inst.ks=") {
		t.Fatalf("the script: %d\n%s", status, script)
	}
	answer := func(card string) (int, string) {
		t.Helper()
		q, _ := http.NewRequest("GET", base+"/b/"+boot+"/"+installerName+"ks.cfg", nil)
		q.Header.Set("X-RHN-Provisioning-MAC-0", "eth0 "+card)
		return do(t, q)
	}
	if status, _ := answer("52:54:00:00:00:99"); status != http.StatusForbidden || heard.count(fleet.KindHTTPRefused) != 1 {
		t.Errorf("an installer on another machine gets %d, %d refusals are shown", status, heard.count(fleet.KindHTTPRefused))
	}
	if status, _ := answer("nonsense"); status != http.StatusForbidden {
		t.Errorf("an installer whose headers are broken gets %d", status)
	}
	status, ks := answer("52:54:00:04:04:03")
	report := regexp.MustCompile(`http://[^'"\s?]*/i/report`).FindString(ks)
	hook := regexp.MustCompile(`http://[^'"\s?]*/logs`).FindString(ks)
	if status != http.StatusOK || report == "" || hook == "" {
		t.Fatalf("its answer: %d, reports to %q, logs to %q\n%s", status, report, hook, ks)
	}
	now = now.Add(3 * time.Hour)
	if status, _ := fetch(t, base+"/b/"+boot+"/"+scriptName); status != http.StatusForbidden {
		t.Errorf("the token of the boot still works: %d", status)
	}
	q, _ := http.NewRequest("POST", hook+"?name=packaging.log", strings.NewReader("no package slipawy\n"))
	if status, text := do(t, q); status != http.StatusNoContent || heard.count(fleet.KindNodeLog) != 1 {
		t.Errorf("its log: %d %s, %d lines", status, text, heard.count(fleet.KindNodeLog))
	}
	if e := heard.last(fleet.KindNodeLog); e.Machine != "node" || e.Text != "no package slipawy" || e.Fields[fleet.FieldProgram] != "packaging.log" {
		t.Errorf("its log is told as %+v", e)
	}
	if status, _ := fetch(t, report+"?stage=installed&text=done"); status != http.StatusOK {
		t.Errorf("its report: %d", status)
	}
	if g, err := s.Fleet.Grant(t.Context(), "node"); err != nil || g.State != fleet.Consumed {
		t.Errorf("the grant is %+v, %v", g, err)
	}
	for _, name := range []string{installerName + "ks.cfg", scriptName} {
		if status, _ := fetch(t, strings.Replace(report, installerName+"report", name, 1)); status != http.StatusForbidden {
			t.Errorf("with the token for telling it gets %s: %d", name, status)
		}
	}
}
