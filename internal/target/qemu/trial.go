package qemu

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// trialSector is a boot sector that tries what every system does: protected
// and long mode, paging, SSE2, and where the processor says so cmpxchg16b and
// BMI2. Under a half-working KVM one of these ends in an "emulation failure".
// It says "long slipway" on the serial port and leaves by the debug exit.
const trialSector = "" +
	"fa31c08ed88ec08ed0bc007c" + // cli; segments 0; sp 0x7c00
	"bf0010b90018fcf3ab" + // clear the page tables at 0x1000..0x3fff
	"c70600100320c70600200330c70600308300" + // one page of 2 MiB, at its own address
	"66b8200600000f22e0" + // cr4: PAE, OSFXSR, OSXMMEXCPT
	"66b8001000000f22d8" + // cr3: 0x1000
	"66b9800000c00f320d00010f30" + // EFER: long mode
	"0f20c024fb660d030000800f22c0" + // cr0: protection, paging, no EM
	"0f0116387dea5e7c0800" + // lgdt; far jump
	"31c08ed88ed0bc007c0000" + // long mode: segments, stack
	"be127d0000e892000000" + // print "long "
	"bf00001000b90010000031c0f3aa" + // clear 4 KiB at 1 MiB
	"f30f6f0425007c0000660fefc0f30f7f042500001000" + // movdqu, pxor, movdqu
	"b8010000000fa2f7c1002000007418" + // cpuid 1: has cmpxchg16b?
	"31c031d2bf00001000bb07000000f0480fc70f803f077540" + // lock cmpxchg16b; must have stored 7
	"31c00fa283f8077229b80700000031c90fa20fbae308731a" + // cpuid 7: has BMI2?
	"b903000000b801000000c4e2f1f7d0c4e2f1f71c2480fa08750e" + // shlx from a register and from memory; must be 8
	"be187d0000e80b000000b010eb02b011e6f4f4ebfd" + // print "slipway"; out 0x10 (or 0x11) to 0xf4; hlt
	"66baf803ac84c07403eeebf8c3" + // print: to 0x3f8 until a zero
	"6c6f6e672000736c69707761790a00" + // "long ", "slipway\n"
	"0f1f8000000000" +
	"0000000000000000ffff0000009aaf00" + // GDT: null, 64-bit code
	"0f00287d0000" // its address

// trialPassed is what QEMU exits with when the guest wrote 0x10.
const trialPassed = 0x10<<1 | 1

// trialTime is how long a guest of a few hundred instructions may take.
const trialTime = 15 * time.Second

// trialDisk is a disk of the smallest size that a BIOS can describe.
func trialDisk() []byte {
	disk := make([]byte, 1<<20)
	if _, err := hex.Decode(disk, []byte(trialSector)); err != nil {
		panic(err) // a constant
	}
	disk[510], disk[511] = 0x55, 0xaa
	return disk
}

// try starts the guest under an accelerator. The error says in words what
// happened to it.
func try(ctx context.Context, p Programs, accel string) error {
	f, err := os.CreateTemp("", "slipway-trial-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(trialDisk())
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	args := append([]string{"-nodefaults", "-no-user-config", "-display", "none"}, dataArgs(ctx, p, "qemu")...)
	args = append(args, "-machine", "q35", "-m", "64", "-cpu", "max", "-accel", accel, "-serial", "stdio",
		"-device", "isa-debug-exit,iobase=0xf4,iosize=4",
		"-blockdev", blockdev{Driver: "raw", Node: "disk0", ReadOnly: true, File: fileNode(f.Name())}.json(),
		"-device", "virtio-blk-pci,drive=disk0,bootindex=1")
	cmd, err := p.Command(ctx, "qemu", "qemu-system-x86_64", args...)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	complaint := &watcher{cancel: cancel}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, complaint, time.Second
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == trialPassed && strings.Contains(out.String(), "long slipway"):
		return nil
	case complaint.failed():
		return errors.New("it cannot run a system's instructions (emulation failure)")
	case ctx.Err() != nil:
		return fmt.Errorf("a small guest did not end within %v", trialTime)
	}
	return fmt.Errorf("a small guest fails: %s", firstLine(complaint.String(), err))
}

// watcher ends the trial when KVM gives up: QEMU itself would wait for ever.
type watcher struct {
	mu     sync.Mutex
	text   bytes.Buffer
	cancel context.CancelFunc
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.text.Len() < 64<<10 {
		w.text.Write(p)
	}
	if bytes.Contains(w.text.Bytes(), []byte("KVM internal error")) || bytes.Contains(w.text.Bytes(), []byte("emulation failure")) {
		w.cancel()
	}
	return len(p), nil
}

func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func (w *watcher) failed() bool {
	text := w.String()
	return strings.Contains(text, "KVM internal error") || strings.Contains(text, "emulation failure")
}

func firstLine(text string, err error) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	if line == "" {
		return fmt.Sprint(err)
	}
	return line
}
