package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// emulated are the architectures whose programs an emulator can run, by
// Debian's name: the emulator's program, and how their ELF header begins
// (class, byte order and machine; the operating system's byte is ignored).
var emulated = map[string]struct {
	program      string
	class, order byte
	machine      uint16
	big          bool
}{
	"amd64":   {"qemu-x86_64", 2, 1, 62, false},
	"arm64":   {"qemu-aarch64", 2, 1, 183, false},
	"armhf":   {"qemu-arm", 1, 1, 40, false},
	"i386":    {"qemu-i386", 1, 1, 3, false},
	"riscv64": {"qemu-riscv64", 2, 1, 243, false},
	"ppc64el": {"qemu-ppc64le", 2, 1, 21, false},
	"loong64": {"qemu-loongarch64", 2, 1, 258, false},
	"s390x":   {"qemu-s390x", 2, 2, 22, true},
}

// Emulator names the program that runs those of an architecture on this
// computer; "" when it needs none. The error says that there is none.
func Emulator(arch string) (string, error) {
	native := map[string][]string{"amd64": {"amd64", "i386"}, "arm64": {"arm64"}, "386": {"i386"}, "arm": {"armhf", "armel"},
		"riscv64": {"riscv64"}, "ppc64le": {"ppc64el"}, "s390x": {"s390x"}, "loong64": {"loong64"}}
	for _, a := range native[runtime.GOARCH] {
		if a == arch {
			return "", nil
		}
	}
	e, ok := emulated[arch]
	if !ok {
		return "", fmt.Errorf("programs of the architecture %s cannot be run on this computer", arch)
	}
	return e.program, nil
}

// Emulate makes the kernel run an architecture's programs through interpreter
// (a static program of this computer's architecture), in this worker and in
// what it starts. The kernel keeps a table of binary formats for each user
// namespace since Linux 6.7 (Documentation/admin-guide/binfmt-misc.rst), so
// nothing of the host changes, and it ends with the worker. The interpreter is
// opened here and now: it need not be visible where the programs run.
//
// Before Linux 6.7 there is one table, the host's. If that one runs such
// programs already, it is used; if not, ErrNoPrivateFormats is returned.
func Emulate(arch, interpreter, scratch string) error {
	program, err := os.Open(interpreter)
	if err != nil {
		return fmt.Errorf("opening the emulator of %s: %w", arch, err)
	}
	defer program.Close()
	// By its descriptor: the kernel bounds the length of a path here.
	line, err := formatLine(arch, fdPath(program))
	if err != nil {
		return err
	}
	at := filepath.Join(scratch, "binfmt")
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("binfmt_misc", at, "binfmt_misc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		if hostRuns(arch) {
			return nil
		}
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("%w (%w)", ErrNoPrivateFormats, err)
		}
		return fmt.Errorf("mounting the table of binary formats: %w", err)
	}
	if err := os.WriteFile(filepath.Join(at, "register"), []byte(line), 0); err != nil {
		return fmt.Errorf("registering the emulator of %s: %w", arch, err)
	}
	emulation = processors[arch]
	return nil
}

// emulation is what the environment of the programs tells their emulator.
var emulation []string

// processors are plainer ones than the emulators' own choice where that costs
// time: the newest arm64 signs and checks every return address, by a cipher
// that takes half of the time of a whole program when it is emulated.
var processors = map[string][]string{"arm64": {"QEMU_CPU=neoverse-n1"}}

// ErrNoPrivateFormats says that this kernel has no table of binary formats for
// a user namespace.
var ErrNoPrivateFormats = errors.New("this kernel has no binary formats of their own for user namespaces (Linux 6.7 has)")

// formatLine is what registers an interpreter: flags F (opened now) and P (the
// program's own argv[0] is kept).
func formatLine(arch, interpreter string) (string, error) {
	e, ok := emulated[arch]
	if !ok {
		return "", fmt.Errorf("programs of the architecture %s cannot be emulated", arch)
	}
	magic := []byte{0x7f, 'E', 'L', 'F', e.class, e.order, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	mask := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	if e.big { // e_type: 2 (program) or 3 (position independent)
		magic, mask = append(magic, 0, 2, byte(e.machine>>8), byte(e.machine)), append(mask, 0xff, 0xfe, 0xff, 0xff)
	} else {
		magic, mask = append(magic, 2, 0, byte(e.machine), byte(e.machine>>8)), append(mask, 0xfe, 0xff, 0xff, 0xff)
	}
	return fmt.Sprintf(":%s:M::%s:%s:%s:FP", formatPrefix+arch, hexBytes(magic), hexBytes(mask), interpreter), nil
}

// formatPrefix begins the names of our entries in a table of binary formats.
const formatPrefix = "slipway-"

func hexBytes(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		fmt.Fprintf(&out, `\x%02x`, c)
	}
	return out.String()
}

// hostRuns reports whether the host's own table has an enabled emulator of the
// architecture that was opened when it was registered.
func hostRuns(arch string) bool {
	data, err := os.ReadFile("/proc/sys/fs/binfmt_misc/" + emulated[arch].program)
	if err != nil || !strings.HasPrefix(string(data), "enabled") {
		return false
	}
	for _, line := range strings.Split(string(data), "\n") {
		if flags, ok := strings.CutPrefix(line, "flags: "); ok {
			return strings.Contains(flags, "F")
		}
	}
	return false
}
