package supervisor

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// State of a machine.
type State string

// The states that `ls` shows.
const (
	Starting State = "starting" // its init has not reached its goal yet
	Running  State = "up"
	Failed   State = "failed"  // it ended by itself, not in order
	Stopped  State = "stopped" // it ended in order
)

// Record is what is known about a machine; its first seven fields are what
// `ls --json` prints.
type Record struct {
	Name      string    `json:"name"`
	Target    string    `json:"target"`
	State     State     `json:"state"`
	Since     time.Time `json:"since"` // of the state
	Addresses []string  `json:"addresses"`
	Ports     []string  `json:"ports"` // host address to machine port, as "127.0.0.1:8080->80"
	PID       int       `json:"pid"`   // the machine's init as the host sees it; 0 when not running
}

// full is the record as it is kept: with what other commands need to reach,
// repair or start the machine again.
type full struct {
	Record
	Reason     string    `json:"reason,omitempty"` // why it failed or stopped
	Started    time.Time `json:"started"`
	Ready      time.Time `json:"ready"` // when init reached its goal; zero before
	Definition string    `json:"definition"`
	Key        string    `json:"key"`
	Supervisor int       `json:"supervisor"` // its pid as it sees itself, for people only
	Restarts   int       `json:"restarts"`
	IDs        IDMap     `json:"ids"`
	Traces     []string  `json:"traces"` // what the target's driver would have to clear up
	Stages     []Mark    `json:"stages"` // of the present run
	Style      string    `json:"style"`  // kind of init
	Spec       Spec      `json:"spec"`
	User       bool      `json:"user"` // runs without host root
}

// IDMap tells where the machine's ids are on the host.
type IDMap struct {
	UID   int64 `json:"uid"`
	GID   int64 `json:"gid"`
	Count int64 `json:"count"`
}

// RuntimeDir is the default folder of records and sockets.
func RuntimeDir() string {
	if dir := os.Getenv("SLIPWAY_RUNTIME"); dir != "" {
		return dir
	}
	if os.Geteuid() == 0 {
		return "/run/slipway"
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "slipway")
	}
	return filepath.Join(os.TempDir(), "slipway-"+strconv.Itoa(os.Getuid()))
}

// makeRuntime makes the runtime folder and refuses one that belongs to
// somebody else, because whoever owns it controls the machines.
func makeRuntime(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the runtime folder: %w", err)
	}
	return ownRuntime(dir)
}

// ownRuntime refuses a runtime folder that another user made, before anything
// in it is believed. One that is not there is fine.
func ownRuntime(dir string) error {
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("looking at the runtime folder: %w", err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("the runtime folder %s belongs to another user; set SLIPWAY_RUNTIME to one of your own", dir)
	}
	return nil
}

func machineDir(runtime, name string) string { return filepath.Join(runtime, "machines", name) }

func (s *Spec) dir() string { return machineDir(s.Runtime, s.Name) }

// The files in a machine's folder.
const (
	recordFile  = "record.json"
	lockFile    = "lock"
	socketFile  = "socket"
	consoleFile = "console.log"
	superFile   = "supervisor.log"
)

func readRecord(dir string) (*full, error) {
	data, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		return nil, err
	}
	var r full
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", filepath.Join(dir, recordFile), err)
	}
	return &r, nil
}

// write replaces the record in one step; own gives new files to the caller of
// slipway when the supervisor runs under another id.
func (r *full) write(dir string, own func(string) error) error {
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("encoding a record: %w", err)
	}
	tmp := filepath.Join(dir, "."+recordFile)
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	if err := own(tmp); err != nil {
		return fmt.Errorf("writing a record: %w", err)
	}
	return os.Rename(tmp, filepath.Join(dir, recordFile))
}

// tryLock takes a machine's lock, which its supervisor holds while it lives.
// A nil file without an error means that somebody holds it.
func tryLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, nil
	}
	return nil, fmt.Errorf("locking %s: %w", dir, err)
}

// alive tells whether a supervisor holds the lock.
func alive(dir string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	return errors.Is(err, unix.EWOULDBLOCK), nil
}
