// Package approve makes a machine of the fleet of one that nobody knows: from
// what it told of its hardware it writes a definition, and one that rehearses
// the machine with the same cards, disks and serial numbers.
//
// Nothing becomes part of a fleet by itself: Save is what a person asks for.
package approve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/fleet"
	"slipway/internal/machine"
	"slipway/internal/netboot"
	"slipway/internal/netboot/node"
)

// Approver knows unknown machines, and the folder that they may come into.
type Approver struct {
	Fleet  *fleet.Fleet
	Folder *netboot.Folder
	Dir    string // the folder; a single file cannot take another machine
	Load   machine.Options
}

// standard is the system of a machine where the fleet has none yet.
const standard = "debian/trixie"

// Suggest says what an unknown machine could become. The error is
// fleet.ErrNotFound where it has not told what it is made of.
func (a *Approver) Suggest(ctx context.Context, id string) (*fleet.Suggestion, error) {
	h, err := a.hardware(ctx, id)
	if err != nil {
		return nil, err
	}
	name := nameOf(id, h)
	return a.suggest(name, h)
}

func (a *Approver) suggest(name string, h *node.Hardware) (*fleet.Suggestion, error) {
	dir, err := filepath.Abs(a.Dir)
	if err != nil {
		return nil, err
	}
	s := &fleet.Suggestion{Name: name, File: filepath.Join(dir, name+".yaml"), RehearsalFile: name + "-rehearsal.yaml"}
	s.Definition = node.Suggest(name, a.system(), h)
	s.Rehearsal = node.Rehearsal(filepath.Base(s.File), h)
	s.Command = "slipway test " + s.RehearsalFile + " --on netboot"
	return s, nil
}

// hardware is what an unknown machine told.
func (a *Approver) hardware(ctx context.Context, id string) (*node.Hardware, error) {
	n, ok := a.Fleet.Node(id)
	switch {
	case !ok:
		return nil, fmt.Errorf("no machine is called %q: %w", id, fleet.ErrNotFound)
	case n.Name != "":
		return nil, fmt.Errorf("%s is a machine of the fleet already (%s)", n.Name, n.Definition)
	}
	data, err := a.Fleet.Inventory(ctx, n.ID)
	if err != nil {
		return nil, fmt.Errorf("%s has not told yet what it is made of: let it boot over the network: %w", id, err)
	}
	h := new(node.Hardware)
	if err := json.Unmarshal(data, h); err != nil {
		return nil, fmt.Errorf("reading what %s is made of: %w", id, err)
	}
	return h, nil
}

// system is that of the fleet's first machine.
func (a *Approver) system() string {
	if all := a.Folder.Roster().Machines(); len(all) > 0 {
		if d, err := all[0].Definition(); err == nil && d.System != "" {
			return d.System
		}
	}
	return standard
}

// nameOf makes a name of a machine's serial number, or of its address.
func nameOf(id string, h *node.Hardware) string {
	word := strings.ToLower(h.Serial)
	if !good.MatchString("node-"+word) || word == "" || len(word) > 20 {
		word = strings.ReplaceAll(strings.ToLower(id), ":", "")
		word = word[max(0, len(word)-6):]
	}
	if name := "node-" + word; good.MatchString(name) {
		return name
	}
	return "node-new"
}

// good is what may be a machine's name, and so a file's.
var good = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// Save writes the definition of an unknown machine into the fleet's folder,
// where the server finds it; an empty name is the suggested one. A name or an
// address that another machine has is refused, and no file is replaced.
func (a *Approver) Save(ctx context.Context, id, name string) error {
	if st, err := os.Stat(a.Dir); err != nil || !st.IsDir() {
		return fmt.Errorf("%s is one definition: serve its folder, then machines can be let in from here", a.Dir)
	}
	h, err := a.hardware(ctx, id)
	if err != nil {
		return err
	}
	if name == "" {
		name = nameOf(id, h)
	}
	if !good.MatchString(name) {
		return fmt.Errorf("%q is no name for a machine: small letters, digits and - between them, at most 63", name)
	}
	s, err := a.suggest(name, h)
	if err != nil {
		return err
	}
	if err := a.check(s); err != nil {
		return err
	}
	return create(s.File, s.Definition)
}

// check loads the definition as the server would, beside the machines that it
// has.
func (a *Approver) check(s *fleet.Suggestion) error {
	dir, err := os.MkdirTemp("", "slipway-approve-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, filepath.Base(s.File))
	if err := os.WriteFile(file, []byte(s.Definition), 0o600); err != nil {
		return err
	}
	d, err := machine.Load(file, a.Load)
	if err != nil {
		return fmt.Errorf("the definition that was made is no good one: %w", err)
	}
	m := netboot.NewMachine(d, func() (*machine.Definition, error) { return d, nil })
	m.Place = s.File
	_, errs := netboot.NewRoster(append(slices.Clip(a.Folder.Roster().Machines()), m))
	return errors.Join(errs...)
}

// create makes a file that is not there, whole or not at all.
func create(name, text string) error {
	f, err := os.CreateTemp(filepath.Dir(name), ".slipway-*")
	if err != nil {
		return fmt.Errorf("writing the definition: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), name)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("there is already a file %s: choose another name", name)
	}
	if err != nil {
		return fmt.Errorf("writing the definition: %w", err)
	}
	return nil
}
