package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Check is one finding about the host, made by trying.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"` // what was found
	Fix    string `json:"fix"`    // what a person can do, when something is missing
}

const doctorWorker = "sandbox:doctor"

func init() { Register(doctorWorker, doctor) }

// Checks tries everything slipway needs of the host, with dir (the store, or
// another folder the caller can write to) for the file system ones.
func (h *Host) Checks(ctx context.Context, dir string) []Check {
	list := []Check{h.checkStart(ctx)}
	if list[0].OK {
		list = append(list, h.checkInside(ctx, dir)...)
	}
	return append(list, checkCgroups(h.Root), checkKVM())
}

func (h *Host) identity() string {
	if h.Root {
		return fmt.Sprintf("root; trees belong to ids %d..%d", h.UIDs.Start, h.UIDs.Start+idCount-1)
	}
	return fmt.Sprintf("%s; trees belong to uids %d..%d and gids %d..%d", h.User,
		h.UIDs.Start, h.UIDs.Start+idCount-1, h.GIDs.Start, h.GIDs.Start+idCount-1)
}

// checkStart starts a worker and ends it.
func (h *Host) checkStart(ctx context.Context) Check {
	check := Check{Name: "user namespace"}
	err := h.problem
	if err == nil {
		var p *Proc
		if p, err = h.Start(ctx, doctorWorker, doctorTask{}); err == nil {
			err = p.Wait()
		}
	}
	if err == nil {
		check.OK, check.Detail = true, h.identity()
		return check
	}
	check.Detail, check.Fix = explain(err)
	if !h.Root && appArmorRestricts() {
		check.Detail += " (AppArmor restricts user namespaces here)"
		check.Fix = "run as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or install an AppArmor profile for slipway with `userns,`"
	}
	return check
}

// explain separates what is wrong from what can be done, for errors that hold
// several problems too.
func explain(err error) (detail, fix string) {
	var problem *Problem
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var details, fixes []string
		for _, e := range joined.Unwrap() {
			d, f := explain(e)
			details = append(details, d)
			if f != "" && !slices.Contains(fixes, f) {
				fixes = append(fixes, f)
			}
		}
		return strings.Join(details, "; "), strings.Join(fixes, "; then ")
	}
	if p, ok := err.(*Problem); ok {
		return p.Text, p.Fix
	}
	if errors.As(err, &problem) {
		fix = problem.Fix
	}
	return err.Error(), fix
}

// checkInside has a worker try the rest.
func (h *Host) checkInside(ctx context.Context, dir string) []Check {
	tmp, err := os.MkdirTemp(dir, "doctor")
	if err != nil {
		return []Check{{Name: "folder", Detail: err.Error(), Fix: "choose a folder this user can write to"}}
	}
	defer os.RemoveAll(tmp)
	p, err := h.StartWith(ctx, doctorWorker, doctorTask{Dir: tmp}, StartOptions{Net: true})
	if err != nil {
		return []Check{{Name: "worker", Detail: err.Error()}}
	}
	var list []Check
	for e := range p.Events() {
		var c Check
		if json.Unmarshal(e, &c) == nil {
			list = append(list, c)
		}
	}
	if err := p.Wait(); err != nil {
		list = append(list, Check{Name: "worker", Detail: err.Error()})
	}
	return list
}

type doctorTask struct{ Dir string }

// doctor is the worker's side: every check is a try.
func doctor(ctx context.Context, w *Worker) error {
	var task doctorTask
	if err := w.Args(&task); err != nil || task.Dir == "" {
		return err
	}
	defer os.RemoveAll(filepath.Join(task.Dir, "try"))
	tries := []struct {
		name, good, fix string
		try             func(dir string) error
	}{
		{"file owners", "files can be given to the tree's ids", "use a local file system (not NFS or a FUSE mount) for the store", tryOwners},
		{"overlay", "overlayfs mounts in a user namespace", "use Linux 5.11 or later and a local file system (ext4, xfs, btrfs) for the store", tryOverlayCheck},
		{"sandbox", "a program runs in new namespaces with a system call filter", "run slipway on the host rather than in a container that masks /proc", trySandbox},
	}
	for _, t := range tries {
		c := Check{Name: t.name, OK: true, Detail: t.good}
		if err := t.try(filepath.Join(task.Dir, "try", t.name)); err != nil {
			c = Check{Name: t.name, Detail: err.Error(), Fix: t.fix}
		}
		if err := w.Emit(c); err != nil {
			return err
		}
	}
	return nil
}

func tryOwners(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	f := filepath.Join(dir, "f")
	return errors.Join(os.WriteFile(f, nil, 0o600), os.Chown(f, 1000, idCount-1), unix.Lsetxattr(f, "user.slipway", []byte("1"), 0))
}

func tryOverlayCheck(dir string) error {
	for _, d := range []string{"lower", "upper", "work", "at"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	lower, at := filepath.Join(dir, "lower"), filepath.Join(dir, "at")
	if err := os.WriteFile(lower+"/f", nil, 0o644); err != nil {
		return err
	}
	if err := MountOverlay([]string{lower}, filepath.Join(dir, "upper"), filepath.Join(dir, "work"), at); err != nil {
		return err
	}
	return errors.Join(os.Remove(at+"/f"), Unmount(at))
}

// doctorProgram is this program's name in the tree of trySandbox, and what it
// is there.
const (
	doctorProgram = "/sandbox:doctor-program"
	doctorCode    = 42
)

func init() {
	RegisterEntry(doctorProgram, func() int { return doctorCode })
}

// trySandbox runs this program in an otherwise empty tree.
func trySandbox(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	exe, err := os.Readlink(executable)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	res, err := Run(ctx, Command{Root: dir, Args: []string{doctorProgram}, Binds: []Bind{{Source: exe, Target: doctorProgram, ReadOnly: true}}})
	if res.Code == doctorCode {
		return nil
	}
	if err != nil && strings.Contains(err.Error(), missingLoader) {
		return nil // a development build that is not static: the sandbox itself came up
	}
	return err
}
