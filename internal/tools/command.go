package tools

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Command readies a program of a set: the host's own, or the tree's through
// the tree's loader. The environment is explicit: nothing of the caller's
// changes what a program does.
func (t *Tools) Command(ctx context.Context, set, program string, args ...string) (*exec.Cmd, error) {
	p, err := t.place(ctx, set)
	if err != nil {
		return nil, err
	}
	name, err := findProgram(p.root, program)
	if err != nil {
		return nil, fmt.Errorf("the tools %s: %w", set, err)
	}
	if p.host {
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = environment()
		return cmd, nil
	}
	s, err := lookup(set)
	if err != nil {
		return nil, err
	}
	return s.command(ctx, p.root, t.d.Arch, name, args)
}

// Path is the absolute path of a set's file, named as Debian has it. Links
// are followed inside the tree.
func (t *Tools) Path(ctx context.Context, set, name string) (string, error) {
	p, err := t.place(ctx, set)
	if err != nil {
		return "", err
	}
	full := filepath.Join(p.root, name)
	if full, err = filepath.EvalSymlinks(full); err != nil {
		return "", fmt.Errorf("the tools %s have no %s: %w", set, name, err)
	}
	return full, nil
}

func (s *Set) command(ctx context.Context, root, arch, program string, args []string) (*exec.Cmd, error) {
	lib := filepath.Join(root, "usr/lib", triplets[arch])
	var cmd *exec.Cmd
	if interpreted(program) {
		loader, err := filepath.EvalSymlinks(filepath.Join(root, loaders[arch]))
		if err != nil {
			return nil, fmt.Errorf("the tools %s have no loader: %w", s.Name, err)
		}
		all := append([]string{"--inhibit-cache", "--library-path", strings.Join(libraries(root, lib), ":"), "--argv0", program, program}, args...)
		cmd = exec.CommandContext(ctx, loader, all...)
	} else {
		cmd = exec.CommandContext(ctx, program, args...)
	}
	cmd.Env = environment()
	for _, e := range s.Env {
		cmd.Env = append(cmd.Env, strings.NewReplacer("{root}", root, "{lib}", lib).Replace(e))
	}
	return cmd, nil
}

// triplets are the names of library folders, and loaders the paths of the
// dynamic loaders, by architecture.
var (
	triplets = map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu", "i386": "i386-linux-gnu", "armhf": "arm-linux-gnueabihf"}
	loaders  = map[string]string{"amd64": "usr/lib64/ld-linux-x86-64.so.2", "arm64": "usr/lib/ld-linux-aarch64.so.1",
		"i386": "usr/lib/ld-linux.so.2", "armhf": "usr/lib/ld-linux-armhf.so.3"}
)

// nested are library folders below the usual one, which packages name in
// RUNPATH by their absolute path.
var nested = []string{"pulseaudio", "blas", "lapack", "swtpm"}

func libraries(root, lib string) []string {
	out := []string{lib, filepath.Join(root, "usr/lib")}
	for _, name := range nested {
		if st, err := os.Stat(filepath.Join(lib, name)); err == nil && st.IsDir() {
			out = append(out, filepath.Join(lib, name))
		}
	}
	return out
}

// interpreted reports whether a program needs a dynamic loader.
func interpreted(program string) bool {
	f, err := elf.Open(program)
	if err != nil {
		return false
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}

func findProgram(root, name string) (string, error) {
	for _, dir := range []string{"usr/bin", "usr/sbin", "usr/libexec", "usr/local/bin"} {
		full := filepath.Join(root, dir, name)
		full, err := filepath.EvalSymlinks(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if st, err := os.Stat(full); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return full, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in %s", name, root)
}

// environment is what every tool sees.
func environment() []string {
	env := []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	for _, name := range []string{"HOME", "TMPDIR", "XDG_RUNTIME_DIR"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}
