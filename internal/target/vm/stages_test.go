package vm

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"slipway/internal/target/supervisor"
)

// clock is a time that tests set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time   { return c.t }
func (c *clock) at(s float64)     { c.t = time.Unix(0, int64(s*1e9)) }
func newClock() *clock            { return &clock{time.Unix(0, 0)} }
func drain(w *watcher) string     { return strings.Join(stages(w), " ") }
func say(w *watcher, text string) { w.Write([]byte(text)) }
func label(s supervisor.Stage) any {
	return fmt.Sprintf("%s@%.1f", s.Name, float64(s.At.UnixNano())/1e9)
}

func stages(w *watcher) (list []string) {
	for len(w.out) > 0 {
		list = append(list, fmt.Sprint(label(<-w.out)))
	}
	return list
}

func TestStagesOfUEFI(t *testing.T) {
	c := newClock()
	w := newWatcher("uefi", c.now)
	c.at(5)
	say(w, "\x1b[2J\x1b[01;01HBdsDxe: loading Boot0001 \"x\"\r\nBdsDxe: starting Boot0001 \"x\"\r\n")
	if stage, left := w.Waiting(); stage != "loader" || left != patience["loader"] {
		t.Errorf("waiting for %s, %s", stage, left)
	}
	c.at(7)
	say(w, "EFI stub: Loaded initrd\r\n[    0.000000] Linux ver")
	c.at(7.5)
	say(w, "sion 6.12.0 (x)\r\n")
	if stage, _ := w.Waiting(); stage != "kernel" {
		t.Errorf("waiting for %s", stage)
	}
	c.at(10)
	w.Event("kernel 2.000") // late: the port was not there before
	c.at(10.5)
	w.Event("root 4.000") // so the kernel began at 6.5
	c.at(12)
	w.Event("init 5.400")
	say(w, "\r\nhello ttyS0\r\n\r\nhello login: ")
	if got, want := drain(w), "firmware@5.0 loader@6.5 kernel@8.5 root@10.5 login@12.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if stage, left := w.Waiting(); stage != "service" || left < time.Minute {
		t.Errorf("waiting for %s, %s", stage, left)
	}
}

func TestStagesOfDirectBoot(t *testing.T) {
	c := newClock()
	w := newWatcher("vm", c.now)
	c.at(3)
	w.Event("kernel 1")
	w.Event("root 1.5")
	w.Event("root 9") // twice changes nothing
	if got, want := drain(w), "firmware@1.5 kernel@2.5 root@3.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	w.Event("nonsense")
	w.Event("kernel -1")
	w.Event("kernel NaN")
}

func TestFailuresOnTheConsole(t *testing.T) {
	for _, c := range []struct{ name, target, text, stage, want string }{
		{"panic", "vm", "[    0.000000] Linux version 6\n[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n[ 1.3] CPU: 0\n", "kernel", "the kernel panicked: VFS: Unable to mount root fs"},
		{"nothing to boot", "uefi", "BdsDxe: No bootable option or device was found.\r\n", "firmware", "the firmware found nothing to boot (BdsDxe: No bootable option)"},
		{"seabios", "bios", "Booting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n", "loader", "the firmware found nothing to boot (Boot failed: not a bootable disk)"},
		{"rescue", "bios", "GRUB loading.\r\nWelcome to GRUB!\r\n\r\nerror: no such partition.\r\ngrub rescue> ", "loader", "GRUB found no way to start the kernel and waits at its prompt (grub rescue)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWatcher(c.target, time.Now)
			say(w, c.text)
			for {
				select {
				case s := <-w.out:
					if s.Err == nil {
						continue
					}
					if s.Name != c.stage || s.Err.Error() != c.want {
						t.Errorf("stage %s: %v", s.Name, s.Err)
					}
					return
				case <-time.After(5 * time.Second):
					t.Fatal("the failure was not seen")
				}
			}
		})
	}
}

func TestPatience(t *testing.T) {
	c := newClock()
	w := newWatcher("ram", c.now)
	c.at(89)
	if stage, left := w.Waiting(); stage != "firmware" || left != time.Second {
		t.Errorf("%s, %s", stage, left)
	}
	c.at(91)
	if _, left := w.Waiting(); left > 0 {
		t.Errorf("%s are left", left)
	}
}

func FuzzWatcher(f *testing.F) {
	f.Add([]byte("\x1b[0mBdsDxe: starting Boot0001\r\nLinux version 6\nx login: "), "root 1.2")
	f.Fuzz(func(t *testing.T, text []byte, event string) {
		w := newWatcher("uefi", time.Now)
		w.Write(text)
		w.Event(event)
		w.Waiting()
	})
}
