// Package inventory writes the machines of a folder as an inventory of Ansible,
// in its YAML form (https://docs.ansible.com/ansible/latest/collections/ansible/builtin/yaml_inventory.html).
//
// A machine is a definition of the folder, or a row of a list; files that others
// include, or that lists are based on, are none. How a machine is reached comes
// from what its definition says; nothing is asked of the machines, and what an
// Ansible user adds belongs into another file beside this one.
package inventory

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// Read loads every machine of a folder, or of one file, by name. What is wrong
// with any of them is an error: half an inventory would be taken for a whole
// one.
func Read(dir string, opt machine.Options) ([]*machine.Definition, error) {
	names, err := list(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the fleet: %w", err)
	}
	var all []*machine.Definition
	var errs []error
	parts := map[string]bool{}
	broken := map[string]error{}
	for _, name := range names {
		machines, reads, err := load(name, opt)
		for _, r := range reads {
			parts[r] = true
		}
		if err != nil {
			broken[name] = err
			continue
		}
		all = append(all, machines...)
	}
	all = slices.DeleteFunc(all, func(d *machine.Definition) bool { return parts[d.File] })
	for _, name := range names {
		if abs, _ := filepath.Abs(name); broken[name] != nil && !parts[abs] {
			errs = append(errs, broken[name])
		}
	}
	slices.SortStableFunc(all, func(a, b *machine.Definition) int { return strings.Compare(a.Name, b.Name) })
	for i, d := range all[min(1, len(all)):] {
		if d.Name == all[i].Name {
			errs = append(errs, fmt.Errorf("%s: machine %s is also in %s; names are unique in a fleet", d.At("name"), d.Name, all[i].At("name")))
		}
	}
	if len(all) == 0 && len(errs) == 0 {
		errs = append(errs, fmt.Errorf("%s: no file *.yaml describes a machine", dir))
	}
	return all, errors.Join(errs...)
}

func list(dir string) ([]string, error) {
	if st, err := os.Stat(dir); err != nil || !st.IsDir() {
		return []string{dir}, err
	}
	entries, err := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(dir, e.Name()))
		}
	}
	return names, err
}

// load reads one file; reads are the others that it is made of.
func load(name string, opt machine.Options) (machines []*machine.Definition, reads []string, err error) {
	rows, isList, err := machine.LoadFleet(name)
	if err != nil {
		return nil, nil, err
	}
	if !isList {
		d, err := machine.Load(name, opt)
		if err != nil {
			return nil, nil, err
		}
		return []*machine.Definition{d}, d.Include, nil
	}
	reads = []string{rows.Base}
	var errs []error
	for i := range rows.Machines {
		d, err := rows.Load(i, opt)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		reads = append(reads, d.Include...)
		d.File = rows.File // it is a row of the list, not its base
		machines = append(machines, d)
	}
	return machines, reads, errors.Join(errs...)
}

// Write makes the inventory.
func Write(machines []*machine.Definition) ([]byte, error) {
	var out bytes.Buffer
	out.WriteString("# Written by slipway; changes belong into the definitions.\nall:\n  hosts:\n")
	groups := map[string][]string{}
	for _, d := range machines {
		fmt.Fprintf(&out, "    %s:\n", text(d.Name))
		for _, v := range variables(d) {
			fmt.Fprintf(&out, "      %s: %s\n", v.name, text(v.value))
		}
		for _, g := range groupsOf(d) {
			groups[g] = append(groups[g], d.Name)
		}
	}
	names := make([]string, 0, len(groups))
	for g := range groups {
		names = append(names, g)
	}
	slices.Sort(names)
	out.WriteString("  children:\n")
	for _, g := range names {
		fmt.Fprintf(&out, "    %s:\n      hosts:\n", g)
		for _, host := range groups[g] {
			fmt.Fprintf(&out, "        %s: {}\n", text(host))
		}
	}
	return out.Bytes(), nil
}

type variable struct {
	name  string
	value any
}

// variables say how Ansible reaches a machine, and what it is.
func variables(d *machine.Definition) []variable {
	out := []variable{{"ansible_host", address(d)}}
	if u := login(d); u != nil {
		out = append(out, variable{"ansible_user", u.Name})
		if u.Sudo != "" && u.Name != "root" {
			out = append(out, variable{"ansible_become", true})
		}
	}
	out = append(out, variable{"slipway_system", d.System}, variable{"slipway_definition", d.File})
	if d.Netboot != nil && len(d.Netboot.Match.MAC) > 0 {
		out = append(out, variable{"slipway_macs", []string(d.Netboot.Match.MAC)})
	}
	return out
}

// address is where a machine is: what the definition fixes, else its name.
func address(d *machine.Definition) string {
	if d.Netboot != nil && d.Netboot.Address != "" {
		return d.Netboot.Address
	}
	for _, n := range d.Network {
		for _, a := range n.Address {
			if p, err := netip.ParsePrefix(a); err == nil {
				return p.Addr().String()
			}
		}
	}
	if d.Hostname != "" {
		return d.Hostname
	}
	return d.Name
}

// login is whom Ansible logs in as: one who needs no password to become root
// before others, and of those the first with a key.
func login(d *machine.Definition) *machine.User {
	rank := func(u *machine.User) int {
		switch {
		case len(u.SSHKeys) == 0 || u.System:
			return 0
		case u.Sudo == "nopasswd":
			return 4
		case u.Name == "root":
			return 3
		case u.Sudo != "":
			return 2
		}
		return 1
	}
	var best *machine.User
	for i := range d.Users {
		if u := &d.Users[i]; rank(u) > 0 && (best == nil || rank(u) > rank(best)) {
			best = u
		}
	}
	return best
}

// groupsOf are the system, its release, and how the machine starts.
func groupsOf(d *machine.Definition) []string {
	out := []string{group(d.Distribution())}
	if d.Release() != "" {
		out = append(out, group(d.Distribution()+"_"+d.Release()))
	}
	switch {
	case d.Netboot == nil:
	case d.Netboot.RAM():
		out = append(out, "slipway_ram")
	default:
		out = append(out, "slipway_install")
	}
	return out
}

// group is a name that Ansible takes: letters, digits and underscores.
func group(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, s)
}

// text writes a value as JSON, which YAML reads alike.
func text(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain data cannot fail to encode
	}
	return string(data)
}
