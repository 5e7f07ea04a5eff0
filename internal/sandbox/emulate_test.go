package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestFormatLine(t *testing.T) {
	line, err := formatLine("arm64", "/proc/self/fd/7")
	want := `:slipway-arm64:M::\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:` +
		`\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:/proc/self/fd/7:FP`
	if err != nil || line != want {
		t.Errorf("got  %s, %v\nwant %s", line, err, want)
	}
	if line, _ := formatLine("s390x", "/x"); !strings.Contains(line, `\x00\x02\x00\x16:`) || !strings.Contains(line, `\xff\xfe\xff\xff:/x:FP`) {
		t.Errorf("a big-endian machine: %s", line)
	}
	if _, err := formatLine("vax", "/x"); err == nil {
		t.Error("an unknown architecture was registered")
	}
}

func TestEmulator(t *testing.T) {
	own := map[string]string{"amd64": "amd64", "arm64": "arm64"}[runtime.GOARCH]
	if own == "" {
		t.Skip("the table below is for amd64 and arm64")
	}
	if program, err := Emulator(own); program != "" || err != nil {
		t.Errorf("%s on itself: %q, %v", own, program, err)
	}
	other := map[string]string{"amd64": "qemu-aarch64", "arm64": "qemu-x86_64"}[own]
	if program, err := Emulator(map[string]string{"amd64": "arm64", "arm64": "amd64"}[own]); program != other || err != nil {
		t.Errorf("another architecture: %q, %v; want %s", program, err, other)
	}
	if _, err := Emulator("vax"); err == nil {
		t.Error("an emulator of an unknown architecture")
	}
}

// TestEmulate registers a program as the emulator of a processor that no
// computer of ours is, and runs a file that looks like a program of it.
func TestEmulate(t *testing.T) {
	got := inside(t, "emulate", testDir(t))
	if len(got) == 1 && strings.Contains(got[0], ErrNoPrivateFormats.Error()) {
		t.Skip(got[0])
	}
	// The flag P: the program's path, then its own argv[0], then the rest.
	if len(got) != 1 || got[0] != `"program.s390x own-name one two"` {
		t.Errorf("the emulator was started with %q", got)
	}
	if left, err := filepath.Glob("/proc/sys/fs/binfmt_misc/" + formatPrefix + "*"); err != nil || len(left) > 0 {
		t.Errorf("left in the host's table: %v, %v", left, err)
	}
}

func init() {
	inWorker["emulate"] = func(dir string, w *Worker) error {
		echo, err := exec.LookPath("echo")
		if err == nil {
			err = Emulate("s390x", echo, dir)
		}
		if errors.Is(err, ErrNoPrivateFormats) {
			return w.Emit(err.Error())
		}
		if err != nil {
			return err
		}
		program := filepath.Join(dir, "program.s390x")
		header := "\x7fELF\x02\x02\x01" + strings.Repeat("\x00", 9) + "\x00\x03\x00\x16" + strings.Repeat("\x00", 44)
		if err := os.WriteFile(program, []byte(header), 0o755); err != nil {
			return err
		}
		cmd := &exec.Cmd{Path: program, Args: []string{"own-name", "one", "two"}}
		out, err := cmd.Output()
		if err != nil {
			return err
		}
		return w.Emit(strings.TrimSpace(strings.ReplaceAll(string(out), dir+"/", "")))
	}
}

func TestEnvironmentOfTheEmulated(t *testing.T) {
	defer func(was []string) { emulation = was }(emulation)
	emulation = processors["arm64"]
	if env := environment(nil); !slices.Contains(env, "QEMU_CPU=neoverse-n1") {
		t.Errorf("the emulator is told nothing: %q", env)
	}
	if env := environment([]string{"QEMU_CPU=max"}); !slices.Contains(env, "QEMU_CPU=max") || slices.Contains(env, "QEMU_CPU=neoverse-n1") {
		t.Errorf("the command's own word does not count: %q", env)
	}
}
