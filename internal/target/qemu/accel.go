package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Accel is how machines run on this host.
type Accel struct {
	Name    string `json:"name"`    // "kvm" or "tcg"
	Version string `json:"version"` // of QEMU
	Major   int    `json:"major"`
	Sandbox bool   `json:"sandbox"` // QEMU can confine itself with seccomp
	// Why is one sentence for people: why machines are emulated. It is empty
	// with kvm.
	Why string `json:"why"`
}

// Accelerator finds out how machines of an architecture run here. KVM is
// trusted only after a small guest has really run in it. The answer is
// remembered in the folder memo ("": not at all) for as long as the host runs
// and QEMU is the same.
func Accelerator(ctx context.Context, p Programs, arch, memo string) (*Accel, error) {
	c := Config{Arch: or(arch, "amd64")}
	cmd, err := p.Command(ctx, c.set(), c.program())
	if err != nil {
		return nil, err
	}
	key := accelKey(cmd, c.Arch)
	if a := recall(memo, c.Arch, key); a != nil {
		return a, nil
	}
	a, err := look(ctx, p, &c)
	if err != nil {
		return nil, err
	}
	a.Name = "kvm"
	if a.Why = noKVM(ctx, p, c.Arch); a.Why != "" {
		a.Name = "tcg"
	}
	if ctx.Err() != nil {
		return nil, ctx.Err() // what was cut short is not worth remembering
	}
	remember(memo, c.Arch, key, a)
	return a, nil
}

const kvmDevice = "/dev/kvm"

// noKVM is the reason not to use KVM; "" when it works.
func noKVM(ctx context.Context, p Programs, arch string) string {
	const so = "machines are emulated, which is slower"
	switch err := unix.Access(kvmDevice, unix.R_OK|unix.W_OK); {
	case arch != runtime.GOARCH:
		return fmt.Sprintf("this computer is no %s: %s", arch, so)
	case errors.Is(err, fs.ErrNotExist):
		return "this host has no KVM: " + so
	case err != nil:
		return fmt.Sprintf("%s is closed to this user (%v): %s (add the user to the group kvm)", kvmDevice, err, so)
	case arch != "amd64":
		return "" // there is no small guest for others
	}
	if err := try(ctx, p, "kvm"); err != nil {
		return fmt.Sprintf("KVM is there but not usable, %v: %s", err, so)
	}
	return ""
}

// look asks QEMU for its version, and whether it can confine itself.
func look(ctx context.Context, p Programs, c *Config) (*Accel, error) {
	a := &Accel{Sandbox: true}
	for {
		out, err := ask(ctx, p, c, a.Sandbox)
		var greeting struct {
			QMP struct {
				Version struct {
					QEMU struct{ Major, Minor, Micro int }
				}
			}
		}
		line, _, _ := bytes.Cut(out, []byte("\n"))
		if err == nil && json.Unmarshal(line, &greeting) == nil {
			v := greeting.QMP.Version.QEMU
			a.Major, a.Version = v.Major, fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Micro)
			return a, nil
		}
		if !a.Sandbox || ctx.Err() != nil {
			return nil, fmt.Errorf("QEMU does not start on this host: %w", errors.Join(err, ctx.Err()))
		}
		a.Sandbox = false
	}
}

// ask runs a QEMU without a machine, which greets and leaves.
func ask(ctx context.Context, p Programs, c *Config, sandbox bool) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	args := []string{"-nodefaults", "-no-user-config", "-display", "none", "-machine", "none", "-qmp", "stdio"}
	if sandbox {
		args = append(args, "-sandbox", "on")
	}
	cmd, err := p.Command(ctx, c.set(), c.program(), args...)
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd.Stderr, cmd.WaitDelay = &stderr, time.Second
	cmd.Stdin = strings.NewReader(`{"execute":"qmp_capabilities"}` + "\n" + `{"execute":"quit"}` + "\n")
	out, err := cmd.Output()
	if err != nil {
		err = errors.New(firstLine(stderr.String(), err))
	}
	return out, err
}

// accelKey names what an answer holds for: this boot of the host, this QEMU
// and this user's access to KVM.
func accelKey(cmd *exec.Cmd, arch string) string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	key := fmt.Sprintf("%s %s %v", strings.TrimSpace(string(boot)), arch, unix.Access(kvmDevice, unix.R_OK|unix.W_OK))
	for _, word := range cmd.Args {
		if st, err := os.Stat(word); err == nil && filepath.IsAbs(word) && st.Mode().IsRegular() {
			key += fmt.Sprintf(" %s %d %d", word, st.Size(), st.ModTime().UnixNano())
		}
	}
	return key
}

type remembered struct {
	Key   string `json:"key"`
	Accel *Accel `json:"accel"`
}

func memoFile(memo, arch string) string { return filepath.Join(memo, "accel-"+arch+".json") }

func recall(memo, arch, key string) *Accel {
	if memo == "" {
		return nil
	}
	data, err := os.ReadFile(memoFile(memo, arch))
	var r remembered
	if err != nil || json.Unmarshal(data, &r) != nil || r.Key != key || r.Accel == nil || r.Accel.Version == "" {
		return nil
	}
	return r.Accel
}

// remember never fails: forgetting costs a second, nothing else.
func remember(memo, arch, key string, a *Accel) {
	data, err := json.Marshal(remembered{key, a})
	if memo == "" || err != nil || os.MkdirAll(memo, 0o700) != nil {
		return
	}
	f, err := os.CreateTemp(memo, ".accel-*")
	if err != nil {
		return
	}
	_, err = f.Write(data)
	if errors.Join(err, f.Close()) != nil || os.Rename(f.Name(), memoFile(memo, arch)) != nil {
		os.Remove(f.Name())
	}
}

// dataFolders are where QEMU's own data, BIOS and boot ROMs lie.
var dataFolders = []string{"/usr/share/qemu", "/usr/share/seabios", "/usr/lib/ipxe/qemu"}

func dataDirs(ctx context.Context, p Programs, set string) []string {
	var dirs []string
	for _, name := range dataFolders {
		if dir, err := p.Path(ctx, set, name); err == nil {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func dataArgs(ctx context.Context, p Programs, set string) []string {
	var args []string
	for _, dir := range dataDirs(ctx, p, set) {
		args = append(args, "-L", dir)
	}
	return args
}
