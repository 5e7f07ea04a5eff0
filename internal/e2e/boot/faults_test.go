package boot

import (
	"fmt"
	"strings"
	"testing"

	"slipway/internal/e2e/kit"
)

// TestBootFaults are guests that go wrong in each way: the proof names the
// stage, says why, and shows what the console said last.
func TestBootFaults(t *testing.T) {
	const patience = "25s" // of each stage; the machines of this test start at once
	for _, c := range []struct {
		name, definition string
		status           int      // 3: it ran, and a probe failed
		says             []string // in what is printed
		slow             bool     // it waits for a stage that never ends
	}{
		{
			name: "panics", status: 1,
			definition: `
kernel: {package: auto, cmdline: [panic=0]}
files:
  - path: /etc/systemd/system/crash.service
    content: |
      [Unit]
      [Service]
      ExecStart=/bin/sh -c "echo c >/proc/sysrq-trigger"
      [Install]
      WantedBy=multi-user.target
services: {enable: [crash]}
`,
			says: []string{"stage  init      FAILED", "the kernel panicked: sysrq triggered crash", "the console's last lines:"},
		},
		{
			name: "hangs", status: 1,
			definition: `
kernel: {package: auto, cmdline: [root=UUID=00000000-dead-dead-dead-000000000000, slipway.timeout=3600]}
`,
			slow: true,
			says: []string{"stage  root      FAILED", "the console's last lines:"},
		},
		{
			name: "fills", status: 3,
			definition: `
files:
  - path: /etc/systemd/system/fill.service
    content: |
      [Service]
      Type=oneshot
      ExecStart=/bin/sh -c "fallocate -l $(($(stat -f -c \"%%a * %%S\" /))) /var/filled; dd if=/dev/zero of=/var/rest bs=1M"
      [Install]
      WantedBy=multi-user.target
services: {enable: [fill]}
probes:
  - {name: full, within: 90s, command: "test -s /var/filled && ! systemctl is-active fill"}
  - {name: writes, after: full, within: 3s, command: "dd if=/dev/zero of=/root/word bs=1M count=1"}
`,
			says: []string{"writes", "No space left on device"},
		},
		{
			name: "silent", status: 3,
			definition: `
probes:
  - {name: port, tcp: 4242, within: 3s}
`,
			says: []string{"port", "refused"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := need(t)
			if c.slow {
				w.Env = append(w.Env, "SLIPWAY_TEST_PATIENCE="+patience)
			}
			file := kit.Write(t, w.Dir, c.name+".yaml", fmt.Sprintf("slipway: v1\nname: %s\nsystem: debian/trixie\nvm: {memory: 512M}\n%s", c.name, strings.TrimSpace(c.definition)))
			r := w.Run("test", file, "--on", "vm")
			t.Logf("took %s\n%s", r.Took, r.Text())
			if r.Status != c.status {
				t.Errorf("exit status %d, want %d", r.Status, c.status)
			}
			for _, text := range c.says {
				if !strings.Contains(r.Text(), text) {
					t.Errorf("nothing says %q", text)
				}
			}
		})
	}
}
