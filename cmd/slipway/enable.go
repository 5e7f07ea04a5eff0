package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/target/supervisor"
)

func newEnable(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "enable NAME",
		Short: "Start a machine with the host (writes a unit for the host's init)",
		Long: `Write and enable a unit that runs slipway up with the definition of a running
machine when the host starts: a systemd unit (a user's own for a normal user) or an
OpenRC script. The slipway program must lie where it lasts: that of go run is
refused.`,
		Example: `  slipway enable hello`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			unit, err := env.unit(args[0])
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(unit.Path), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(unit.Path, []byte(unit.Text), os.FileMode(unit.Mode)); err != nil {
				return err
			}
			if err := runLines(unit.On); err != nil {
				return errors.Join(err, os.Remove(unit.Path))
			}
			_, err = fmt.Fprintf(env.Stdout, "%s starts with the host: %s\n", args[0], unit.Path)
			return err
		},
	}
}

func newDisable(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "disable NAME",
		Short: "No longer start a machine with the host",
		Long: `Disable and remove the unit that slipway enable wrote. The machine itself is left
as it is.`,
		Example: `  slipway disable hello`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			unit, err := supervisor.InstalledUnit(args[0])
			if err != nil {
				return err
			}
			if _, err := os.Stat(unit.Path); os.IsNotExist(err) {
				return fmt.Errorf("%s is not enabled", args[0])
			}
			if err := runLines(unit.Off); err != nil {
				return err
			}
			if err := os.Remove(unit.Path); err != nil {
				return err
			}
			_, err = fmt.Fprintf(env.Stdout, "%s no longer starts with the host\n", args[0])
			return err
		},
	}
}

// unit describes the host's unit for a machine that is known by its name.
func (e *Env) unit(name string) (*supervisor.Unit, error) {
	m, err := supervisor.Find("", name)
	if err != nil {
		return nil, err
	}
	binary, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := e.storeDir()
	if err != nil {
		return nil, err
	}
	return supervisor.UnitFor(name, m.Definition, m.Target, binary, dir)
}

func runLines(lines []string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			hint := ""
			if words[0] == "loginctl" {
				hint = fmt.Sprintf("\nhint: have root run: loginctl enable-linger %d", os.Getuid())
			}
			return fmt.Errorf("%s: %w: %s%s", line, err, strings.TrimSpace(string(out)), hint)
		}
	}
	return nil
}
