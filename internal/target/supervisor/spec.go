package supervisor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"time"

	"slipway/internal/distro/minted"
	"slipway/internal/guest/wire"
	"slipway/internal/machine"
)

// Spec says what to start.
type Spec struct {
	Name       string // a host label; unique among the machines of a runtime folder
	Definition *machine.Definition
	Target     string   // default "container"
	LayerDirs  []string // for containers: the built tree as overlay lowers, top first, with owners shifted into the private range
	Boot       *Boot    // for virtual machines: what they start from
	Key        string   // of the build
	TreeSize   int64    // bytes of the built tree, for probes

	Runtime  string // folder of records and sockets; default RuntimeDir()
	RunDir   string // folder of this machine's upper; on a real file system
	StateDir string // folder of this machine's state volumes
	SSHDir   string // folder of the caller's ssh keys, see package sshway
	Keep     bool   // keep the upper at the end, and use it again for the same Key
	Discard  bool   // throw away what an earlier start kept
	Publish  bool   // open the definition's ports on the host
	Isolated bool   // no lab: the machine has only its loopback
	OwnLab   bool   // a lab of the machine alone, in which the driver gives the addresses

	Mint    []wire.Mint   // what the machine makes for itself; nil: the usual table
	Stop    time.Duration // for an orderly end; default 30s
	Env     []string      // added to init's environment
	Binary  string        // version of slipway, for the record
	LogSize int64         // of the console log before it is rotated; default 1 MiB
}

// Boot is what a virtual machine starts from. All paths are on the host.
type Boot struct {
	Disk     string `json:"disk,omitempty"`      // image, which is not written to; empty: none
	DiskSize int64  `json:"disk_size,omitempty"` // of the disk as the machine sees it; 0: the image's
	Format   string `json:"format,omitempty"`    // of Disk: raw (default) or qcow2
	Seed     string `json:"seed,omitempty"`      // raw image of a second disk, read-only, from which a stock image configures itself
	Kernel   string `json:"kernel,omitempty"`
	Initrd   string `json:"initrd,omitempty"`
	Cmdline  string `json:"cmdline,omitempty"`
	Firmware string `json:"firmware,omitempty"` // uefi or bios: the disk's loader starts the kernel; empty: it is started directly
	State    Span   `json:"state,omitzero"`     // of the file system for state: on the disk
	Memory   int64  `json:"memory,omitempty"`   // bytes without which it cannot start; 0: not known
	Key      string `json:"key,omitempty"`      // of the image
	Fetch    string `json:"fetch,omitempty"`    // what the initrd of a boot server's machine fetches: a disk image to install, or a root; empty: nothing

	Loaders map[string]string `json:"loaders,omitempty"` // of a boot server: iPXE's binaries, name and file

	QEMU json.RawMessage `json:"qemu,omitempty"` // how QEMU is run, see package vm
}

// Span is a part of a disk, in bytes; one without a length is none.
type Span struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (s *Spec) complete() error {
	if !label.MatchString(s.Name) {
		return fmt.Errorf("starting machine %q: a name has lower-case letters, digits and hyphens, at most 63", s.Name)
	}
	if s.Definition == nil || s.RunDir == "" {
		return errors.New("starting a machine: definition and run folder are needed")
	}
	if s.Target == "" {
		s.Target = "container"
	}
	if s.Runtime == "" {
		s.Runtime = RuntimeDir()
	}
	if s.StateDir == "" {
		s.StateDir = s.RunDir + ".state"
	}
	if s.Stop == 0 {
		s.Stop = 30 * time.Second
	}
	if s.LogSize == 0 {
		s.LogSize = 1 << 20
	}
	if s.Mint == nil {
		s.Mint = usualMint
	}
	var err error
	for _, p := range []*string{&s.Runtime, &s.RunDir, &s.StateDir} {
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	driver, err := DriverOf(s.Target)
	if err == nil {
		err = driver.Check(s)
	}
	if err != nil {
		return fmt.Errorf("starting machine %s: %w", s.Name, err)
	}
	return nil
}

// hostname is what the machine calls itself.
func (s *Spec) hostname() string {
	if s.Definition.Hostname != "" {
		return s.Definition.Hostname
	}
	return s.Name
}

// ID names what the machine has on the host, such as its cgroups. Machines of one name in two runtime
// folders must not share them: what is found there counts as left over.
func (s *Spec) ID() string {
	sum := sha256.Sum256([]byte(s.Runtime))
	return s.Name + "-" + hex.EncodeToString(sum[:4])
}

// initCommand is what the definition wants as process 1; empty: the tree's own.
func (s *Spec) initCommand() []string {
	if filepath.IsAbs(s.Definition.Init) {
		return []string{s.Definition.Init}
	}
	return nil
}

// usualMint is what a built tree has not, because every machine has its own.
var usualMint = func() (all []wire.Mint) {
	for _, k := range minted.Kinds {
		if len(k.Command) > 0 {
			all = append(all, wire.Mint{Path: k.Path, Needs: k.Needs, Command: k.Command})
		}
	}
	return all
}()
