package install

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"golang.org/x/sys/unix"
)

// execDir is where apk puts a script while it runs.
const execDir = "lib/apk/exec"

// ScriptError says which script failed.
type ScriptError struct {
	Package, Script string
	Output          string // its last lines
	Err             error
}

func (e *ScriptError) Error() string {
	text := fmt.Sprintf("the script %s of %s failed: %v", e.Script, e.Package, e.Err)
	if e.Output != "" {
		text += "\n" + e.Output
	}
	return text
}

func (e *ScriptError) Unwrap() error { return e.Err }

// script runs one script of a package, if it has it.
func (in *Installer) script(ctx context.Context, r *record, kind string, args ...string) error {
	body, ok := r.scripts[kind]
	if !ok {
		return nil
	}
	if err := in.root.MkdirAll(execDir, 0o700); err != nil {
		return err
	}
	name := execDir + "/" + r.ID() + "." + kind
	if err := in.root.Write(name, body, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, in.opt.Timeout)
	defer cancel()
	var end tail
	err := in.opt.Run(ctx, append([]string{"/" + name}, args...), environment(in.opt.Epoch), io.MultiWriter(in.opt.Log, &end))
	in.root.Forget() // names may mean something else now
	in.ids.Forget()
	if rerr := in.root.Remove(name); err == nil && rerr != nil {
		return rerr
	}
	if err != nil {
		return &ScriptError{Package: r.ID(), Script: kind, Output: end.text(), Err: err}
	}
	return in.settleDates()
}

// environment is what apk gives to scripts, and the date for those who ask.
func environment(epoch int64) []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", fmt.Sprintf("SOURCE_DATE_EPOCH=%d", epoch)}
}

// settleDates lowers dates in shadow(5) that are later than the tree's: an
// account that a script makes would have today's.
func (in *Installer) settleDates() error {
	for _, name := range []string{"etc/shadow", "etc/shadow-"} {
		st, err := in.root.Lstat(name)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue
		}
		data, err := in.root.Read(name)
		if err != nil {
			return err
		}
		if out := settleShadow(data, in.opt.Epoch/86400); !bytes.Equal(out, data) {
			if err := in.rewrite(name, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// rewrite changes a file in place, so that owner and mode stay.
func (in *Installer) rewrite(name string, data []byte) error {
	d, base, err := in.root.Parent(name)
	if err != nil {
		return err
	}
	fd, err := unix.Openat(d.FD, base, unix.O_WRONLY|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("rewriting /%s: %w", name, err)
	}
	defer unix.Close(fd)
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("rewriting /%s: %w", name, err)
		}
		data = data[max(n, 0):]
	}
	return nil
}

func settleShadow(data []byte, day int64) []byte {
	lines := strings.SplitAfter(string(data), "\n")
	for i, line := range lines {
		f := strings.Split(line, ":")
		if len(f) < 9 {
			continue
		}
		var changed int64
		if _, err := fmt.Sscanf(f[2], "%d", &changed); err == nil && changed > day {
			f[2] = fmt.Sprint(day)
			lines[i] = strings.Join(f, ":")
		}
	}
	return []byte(strings.Join(lines, ""))
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

const tailSize = 8 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > 2*tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(p), nil
}

// text is at most the last twenty lines.
func (t *tail) text() string {
	all := bytes.Split(bytes.TrimSpace(t.b), []byte{'\n'})
	if len(all) > 20 {
		all = all[len(all)-20:]
	}
	return strings.ToValidUTF8(string(bytes.Join(all, []byte{'\n'})), "?")
}
