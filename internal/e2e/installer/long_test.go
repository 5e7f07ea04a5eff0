package installer

import (
	"bytes"
	"os"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
	"slipway/internal/target/qemu"
)

// TestInstallerDebianCompletes: the installer finishes by itself, its logs and
// its last report arrive, and the disk starts alone.
func TestInstallerDebianCompletes(t *testing.T) {
	kit.Tier(t, "long")
	in := start(t)
	in.reach(2*time.Hour, "stage installed")
	in.check()
	select {
	case <-in.ended: // it restarts, and NoReboot makes that its end
	case <-time.After(15 * time.Minute):
		t.Fatal("the installer did not restart the machine")
	}
	if log := in.server.logs["syslog"]; !bytes.Contains(log, []byte("slipway: installing on /dev/vdb")) {
		t.Errorf("the posted syslog (%d bytes) does not say which disk was chosen", len(log))
	}
	in.config.Boot = qemu.Boot{}
	in.config.NICs = nil
	in.config.ConsoleLog += "-installed"
	in.config.Disks = in.config.Disks[1:]
	in.run()
	deadline := time.Now().Add(15 * time.Minute)
	for !bytes.Contains(read(t, in.config.ConsoleLog), []byte("installed login:")) {
		if time.Now().After(deadline) {
			t.Fatalf("the installed system shows no login:\n%s", tail(in.config.ConsoleLog, 4000))
		}
		time.Sleep(5 * time.Second)
	}
}

func read(t *testing.T, path string) []byte {
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return data
}
