package main

import (
	"fmt"
	"os"
	"path/filepath"

	"slipway/internal/machine"
	"slipway/internal/netboot/inventory"
)

// inventory writes what Ansible has to know of a folder's machines.
func (e *Env) inventory(dir, out string) error {
	machines, err := inventory.Read(dir, machine.Options{Set: e.opt.set})
	if err != nil {
		return err
	}
	data, err := inventory.Write(machines)
	if err != nil {
		return err
	}
	if out == "" {
		_, err = e.Stdout.Write(data)
		return err
	}
	if err := replaceFile(out, data); err != nil {
		return fmt.Errorf("writing the inventory: %w", err)
	}
	noun := "machines"
	if len(machines) == 1 {
		noun = "machine"
	}
	e.reporter().Note(fmt.Sprintf("%s: %d %s", out, len(machines), noun))
	return nil
}

// replaceFile writes a file whole or not at all.
func replaceFile(name string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".slipway-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone after the rename
	_, err = tmp.Write(data)
	if e := tmp.Chmod(0o644); err == nil {
		err = e
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	return err
}

// count is how many are set.
func count(flags ...bool) int {
	n := 0
	for _, f := range flags {
		if f {
			n++
		}
	}
	return n
}
