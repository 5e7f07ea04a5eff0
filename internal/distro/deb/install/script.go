package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"slipway/internal/sandbox"
)

// ScriptError says that a maintainer script, or dpkg itself, failed.
type ScriptError struct {
	Package  string // "" when dpkg failed for another reason
	Script   string // "preinst", "postinst", "dpkg --configure"
	ExitCode int    // -1 when it did not end by itself
	Output   string // its last lines
	Err      error
}

func (e *ScriptError) Error() string {
	var b strings.Builder
	b.WriteString("running " + e.Script)
	if e.Package != "" {
		b.WriteString(" of " + e.Package)
	}
	switch {
	case errors.Is(e.Err, context.DeadlineExceeded):
		b.WriteString(": it did not end in time")
	case e.ExitCode > 0:
		fmt.Fprintf(&b, ": exit status %d", e.ExitCode)
	default:
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Output != "" {
		b.WriteString("; its last lines:\n  " + strings.ReplaceAll(e.Output, "\n", "\n  "))
	}
	return b.String()
}

func (e *ScriptError) Unwrap() error { return e.Err }

// exitCode asks the error of a RunFunc for the program's status.
func exitCode(err error) int {
	var inSandbox *sandbox.ExitError
	if errors.As(err, &inSandbox) {
		return inSandbox.Result.Code
	}
	var e interface{ ExitCode() int }
	if errors.As(err, &e) {
		return e.ExitCode()
	}
	return -1
}

// environment is what every program gets (mmdebstrap and apt set the same).
func (in *Installer) environment() []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"DEBIAN_FRONTEND=noninteractive", "DEBCONF_NONINTERACTIVE_SEEN=true",
		"LC_ALL=C.UTF-8", "LANG=C.UTF-8", "LANGUAGE=C.UTF-8",
		"SOURCE_DATE_EPOCH=" + strconv.FormatInt(in.opt.Epoch, 10),
	}
	if in.opt.SkipInitramfs {
		env = append(env, "INITRD=No")
	}
	return env
}

// script runs a maintainer script as dpkg would (policy 6.5, dpkg(1)).
func (in *Installer) script(ctx context.Context, r *record, name string, args ...string) error {
	env := append(in.environment(),
		"DPKG_MAINTSCRIPT_PACKAGE="+r.name,
		"DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT="+strconv.Itoa(in.instances(r)),
		"DPKG_MAINTSCRIPT_ARCH="+in.archOf(r),
		"DPKG_MAINTSCRIPT_NAME="+name,
		"DPKG_MAINTSCRIPT_DEBUG=0",
		"DPKG_RUNNING_VERSION="+in.dpkgVersion(),
		"DPKG_ADMINDIR=/"+adminDir,
		"DPKG_ROOT=",
		"DPKG_FORCE=security-mac,downgrade",
	)
	output, err := in.exec(ctx, args, env, nil)
	if err == nil {
		return nil
	}
	return &ScriptError{Package: r.name, Script: name, ExitCode: exitCode(err), Output: output, Err: err}
}

// instances counts the architectures in which the package is at least unpacked.
func (in *Installer) instances(r *record) int {
	n := 1
	for _, o := range in.db.records {
		if o != r && o.name == r.name && o.state != notInstalled && o.state != configFiles && o.state != halfInstalled {
			n++
		}
	}
	return n
}

func (in *Installer) archOf(r *record) string {
	if r.arch == "" {
		return in.opt.Arch
	}
	return r.arch
}

func (in *Installer) dpkgVersion() string {
	if r := in.db.find("dpkg", ""); r != nil {
		v, _, _ := strings.Cut(r.version, "+")
		return v
	}
	return "1.22.0"
}

// exec makes the database true, runs a program, and reads what it changed. It
// returns the end of the program's output.
func (in *Installer) exec(ctx context.Context, args, env []string, stdin io.Reader) (string, error) {
	if err := in.db.flush(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, in.opt.Timeout)
	defer cancel()
	var end tail
	err := in.opt.Run(ctx, args, env, stdin, io.MultiWriter(in.opt.Log, &end))
	if err != nil && ctx.Err() != nil {
		err = errors.Join(err, ctx.Err())
	}
	if lerr := in.ran(); err == nil {
		err = lerr
	}
	return end.lines(20), err
}

// dpkg runs the tree's dpkg. Input is empty, so that no question is waited
// for: a conffile that exists already and differs keeps its content unless
// the package's maintainers declared a default (--force-confdef,confold), and
// the package's own lies beside it as .dpkg-dist.
func (in *Installer) dpkg(ctx context.Context, args ...string) error {
	if !in.root.Exists("usr/bin/dpkg") {
		return ErrNoDpkg
	}
	args = append([]string{"dpkg", "--force-unsafe-io", "--force-confdef", "--force-confold"}, args...)
	output, err := in.exec(ctx, args, in.environment(), nil)
	if err == nil {
		return nil
	}
	return blame(&ScriptError{Script: "dpkg", ExitCode: exitCode(err), Output: output, Err: err})
}

var (
	processing = regexp.MustCompile(`(?m)^dpkg: error processing package (\S+) \(`)
	subprocess = regexp.MustCompile(`(?m)(?:new|installed) (\S+) package (\S+) script subprocess (?:returned error exit status|failed with exit code) (\d+)`)
)

// blame finds the package and the script in what dpkg said.
func blame(e *ScriptError) error {
	if m := processing.FindStringSubmatch(e.Output); m != nil {
		e.Package = m[1]
	}
	if m := subprocess.FindStringSubmatch(e.Output); m != nil {
		e.Package, e.Script = m[1], shortScript(m[2])
		e.ExitCode, _ = strconv.Atoi(m[3])
	}
	return e
}

func shortScript(long string) string {
	return strings.NewReplacer("pre-installation", "preinst", "post-installation", "postinst",
		"pre-removal", "prerm", "post-removal", "postrm").Replace(long)
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

// lines gives at most the last n lines.
func (t *tail) lines(n int) string {
	all := bytes.Split(bytes.TrimSpace(t.b), []byte{'\n'})
	if len(all) > n {
		all = all[len(all)-n:]
	}
	return strings.ToValidUTF8(string(bytes.Join(all, []byte{'\n'})), "?")
}
