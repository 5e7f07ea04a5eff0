package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slipway/internal/lab"
	"slipway/internal/sandbox"
)

// Repair removes what killed supervisors have left in the runtime folder:
// processes, cgroups, run folders. Their records stay, as failed, until Down. It
// returns the names of the machines that it repaired. Mounts have gone with
// their namespaces, and the lab, once it has no members, takes back what its
// way out changed on the host.
func Repair(ctx context.Context, runtime string) ([]string, error) {
	if err := ownRuntime(runtime); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Join(runtime, "machines"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("looking for machines to repair: %w", err)
	}
	var names []string
	var errs []error
	for _, e := range entries {
		repaired, err := repairOne(ctx, filepath.Join(runtime, "machines", e.Name()))
		if repaired {
			names = append(names, e.Name())
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("repairing machine %s: %w", e.Name(), err))
		}
	}
	errs = append(errs, lab.RepairAt(ctx, labDir(runtime)))
	return names, errors.Join(errs...)
}

func repairOne(ctx context.Context, dir string) (bool, error) {
	lock, err := tryLock(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // gone meanwhile
	}
	if lock == nil || err != nil {
		return false, err // it lives, or another process repairs it
	}
	defer lock.Close()
	rec, err := readRecord(dir)
	if errors.Is(err, fs.ErrNotExist) { // killed before it wrote anything
		return false, os.RemoveAll(dir)
	}
	if err != nil {
		return false, err
	}
	if rec.State != Starting && rec.State != Running {
		return false, nil
	}
	if err := sweep(ctx, rec); err != nil {
		return false, err
	}
	if err := rec.Spec.leaveNoLab(ctx); err != nil {
		return false, err
	}
	rec.State, rec.Reason, rec.PID = Failed, "its supervisor was killed", 0
	os.Remove(filepath.Join(dir, socketFile))
	return true, rec.write(dir, func(string) error { return nil })
}

// sweep removes what a machine has outside of its runtime folder. Where it
// belongs to ids of the private range, a worker does it.
func sweep(ctx context.Context, rec *full) error {
	j := removeJob{Target: rec.Target, Traces: rec.Traces}
	if !rec.Spec.Keep {
		j.Dir = rec.Spec.RunDir
	}
	if !rec.User {
		return j.do(0)
	}
	host, err := sandbox.Detect()
	if err != nil {
		return err
	}
	p, err := host.Start(ctx, removeWorker, j)
	if err != nil {
		return err
	}
	return p.Wait()
}

const removeWorker = "supervisor.remove"

type removeJob struct {
	Target string
	Traces []string
	Dir    string
}

func (j removeJob) do(caller int) error {
	var err error
	if driver, unknown := DriverOf(j.Target); unknown == nil {
		err = driver.Sweep(j.Traces, caller)
	}
	if j.Dir != "" {
		err = errors.Join(err, os.RemoveAll(j.Dir))
	}
	return err
}

func init() {
	sandbox.Register(removeWorker, func(ctx context.Context, w *sandbox.Worker) error {
		var j removeJob
		if err := w.Args(&j); err != nil {
			return err
		}
		return j.do(sandbox.SelfID)
	})
}

// clear removes the last traces of a machine that has ended.
func clear(ctx context.Context, dir string) error {
	if _, err := repairOne(ctx, dir); err != nil {
		return err
	}
	runtime := filepath.Dir(filepath.Dir(dir)) // see machineDir
	return errors.Join(os.RemoveAll(dir), lab.RepairAt(ctx, labDir(runtime)))
}
