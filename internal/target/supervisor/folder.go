package supervisor

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The names that the supervisor itself uses in a machine's run folder.
const (
	keyFile  = "key"
	uuidFile = "uuid"
)

// KeptError means that a start would lose or misuse what was kept.
type KeptError struct {
	Name      string
	Kept, Now string // keys of builds
	Keep      bool   // whether the start was to use it
}

func (e *KeptError) Error() string {
	if !e.Keep {
		return fmt.Sprintf("what machine %s wrote was kept: --keep goes on with it, --replace throws it away", e.Name)
	}
	return fmt.Sprintf("what machine %s wrote was kept for build %.12s, and the definition now gives %.12s: "+
		"undo the change to go on with it, or say --replace as well to throw it away", e.Name, e.Kept, e.Now)
}

// CheckKept refuses to put kept writes over another build than their own, and
// to throw them away unasked. Only machines that keep leave a key behind.
func CheckKept(spec *Spec) error {
	data, err := os.ReadFile(filepath.Join(spec.RunDir, keyFile))
	if errors.Is(err, fs.ErrNotExist) || err == nil && (spec.Discard || spec.Keep && string(data) == spec.Key) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading what was kept of machine %s: %w", spec.Name, err)
	}
	return &KeptError{Name: spec.Name, Kept: string(data), Now: spec.Key, Keep: spec.Keep}
}

// enterFolder makes the run folder and enters it: the guest helper, whom the
// way to this folder may be closed, starts here.
func (s *supervisor) enterFolder() error {
	dir := s.Spec.RunDir
	if err := os.MkdirAll(dir, 0o711); err != nil {
		return fmt.Errorf("making the run folder: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		return fmt.Errorf("making the run folder: %w", err)
	}
	if err := os.Chdir(dir); err != nil {
		return fmt.Errorf("entering the run folder: %w", err)
	}
	if !s.Spec.Keep || s.Spec.Discard {
		if err := emptyFolder(dir); err != nil {
			return fmt.Errorf("emptying the run folder: %w", err)
		}
	}
	if s.Spec.Keep {
		if err := os.WriteFile(keyFile, []byte(s.Spec.Key), 0o644); err != nil {
			return fmt.Errorf("writing the build's key: %w", err)
		}
	}
	return nil
}

func emptyFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

// reset throws away what the machine has written, its state apart.
func (s *supervisor) reset() error {
	return errors.Join(s.body.Reset(), os.RemoveAll(filepath.Join(s.Spec.RunDir, uuidFile)))
}

// leaveFolder is the end of the run folder, or of all but what is kept.
func (s *supervisor) leaveFolder() error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	var err error
	if s.body != nil {
		err = s.body.Close()
	}
	if s.Spec.Keep {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.Spec.RunDir))
}

// UUID is the identity of this machine for as long as its writes are kept.
func (h *Host) UUID() string {
	path := filepath.Join(h.Spec.RunDir, uuidFile)
	if data, err := os.ReadFile(path); err == nil && len(data) == 32 {
		return string(data)
	}
	var id [16]byte
	rand.Read(id[:])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // RFC 9562, version 4
	text := hex.EncodeToString(id[:])
	_ = os.WriteFile(path, []byte(text), 0o644) // the next start then has another one
	return text
}
