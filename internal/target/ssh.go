package target

import (
	"errors"
	"os"
	"path/filepath"

	"slipway/internal/target/sshway"
	"slipway/internal/target/supervisor"
)

// WriteSSHConfig renews the ssh configuration in dir for the machines that run
// in a runtime folder.
func WriteSSHConfig(runtime string, dir sshway.Dir) error {
	if runtime == "" {
		runtime = supervisor.RuntimeDir()
	}
	list, err := supervisor.List(runtime)
	if err != nil {
		return err
	}
	var names []string
	for _, m := range list {
		if m.Running() && m.SSHDir() == dir {
			names = append(names, m.Name)
		}
	}
	path, err := dir.Lasting()
	if err != nil {
		return err
	}
	return dir.WriteConfig(names, sshway.Program{Path: path, Runtime: runtime})
}

// renewSSH keeps the configuration true where ssh has been used; gone is a
// machine that has ended, or empty.
func (p *Prover) renewSSH(dir sshway.Dir, gone string) {
	if _, err := os.Stat(dir.ConfigPath()); err != nil {
		return
	}
	err := WriteSSHConfig(p.Runtime, dir)
	if gone != "" {
		err = errors.Join(err, dir.Learn(gone, nil))
	}
	if err != nil {
		p.Progress.Note("the ssh configuration is not up to date: " + err.Error())
	}
}

// SSHDir is the folder of ssh keys in a store.
func SSHDir(store string) sshway.Dir { return sshway.Dir(filepath.Join(store, "ssh")) }
