package guest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestProgram(t *testing.T) {
	for arch := range packed {
		program, err := Program(arch)
		if err != nil {
			t.Fatal(err)
		}
		if len(program) > maxSize || !bytes.HasPrefix(program, []byte("\x7fELF")) {
			t.Errorf("%s: %d bytes that begin with %q", arch, len(program), program[:4])
		}
	}
	if _, err := Program("vax"); err == nil || !strings.Contains(err.Error(), "no guest helper for vax") {
		t.Errorf("an unknown architecture: %v", err)
	}
}

func TestMemfileIsSealed(t *testing.T) {
	f, err := Memfile()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the sealed file was written")
	}
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{f}
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "runs inside a machine") {
		t.Errorf("executed: %q, %v", out, err)
	}
}

// TestUpToDate holds that the embedded helper is what its source makes.
func TestUpToDate(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to build the guest helper again")
	}
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Skip("the source is not here")
	}
	if !strings.Contains(string(mod), "toolchain "+runtime.Version()+"\n") {
		t.Skipf("go.mod pins another toolchain than %s", runtime.Version())
	}
	gen, err := filepath.Abs("gen")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", gen)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOFLAGS=")
	// The module is found from the folder that the command runs in.
	cmd.Args = []string{"go", "run", "-C", gen, ".", cmd.Dir}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the guest helper: %v\n%s", err, out)
	}
	for arch, data := range packed {
		made, err := os.ReadFile(filepath.Join(cmd.Dir, "guest_"+arch+".zst"))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, data) {
			t.Errorf("guest_%s.zst is not what its source makes: run `go generate ./internal/guest`", arch)
		}
	}
}
