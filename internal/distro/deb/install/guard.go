package install

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

const (
	policyRC   = "usr/sbin/policy-rc.d"
	realDaemon = "sbin/start-stop-daemon.REAL"
	fakeDaemon = "sbin/start-stop-daemon"
	resolvConf = "etc/resolv.conf"
)

// noResolver is what scripts find as resolv.conf(5): some ask whether it is
// there at all (postfix does, when it chooses the machine's name).
const noResolver = "# nothing is resolved while the tree is built\n"

// Guard keeps packages from starting services: invoke-rc.d is told no (exit
// status 101 of policy-rc.d), and start-stop-daemon does nothing. Scripts also
// find an empty resolv.conf where there is none. The release function takes
// all of it away again; it must be called before the tree is kept.
func (in *Installer) Guard() (release func() error, err error) {
	if err := in.guard(); err != nil {
		return nil, fmt.Errorf("keeping services from starting: %w", err)
	}
	return in.unguard, nil
}

func (in *Installer) guard() error {
	if in.root.Exists("usr/sbin") {
		if err := in.root.Write(policyRC, []byte("#!/bin/sh\nexit 101\n"), 0o755); err != nil {
			return err
		}
	}
	if err := in.guardResolver(); err != nil {
		return err
	}
	if st, err := in.root.Stat(fakeDaemon); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	if in.root.Exists(realDaemon) {
		return nil
	}
	if err := in.root.Rename(fakeDaemon, realDaemon); err != nil {
		return err
	}
	const fake = "#!/bin/sh\necho \"start-stop-daemon is switched off while the tree is built\" >&2\n"
	return in.root.Write(fakeDaemon, []byte(fake), 0o755)
}

func (in *Installer) guardResolver() error {
	if _, err := in.root.Lstat(resolvConf); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !in.root.Exists("etc") {
		return nil
	}
	return in.root.Write(resolvConf, []byte(noResolver), 0o644)
}

// unguardResolver leaves what a script made of it. systemd-resolved puts a
// link in its place and keeps what it found, for the day it is removed.
func (in *Installer) unguardResolver() error {
	for _, name := range []string{resolvConf, "etc/.resolv.conf.systemd-resolved.bak"} {
		st, err := in.root.Lstat(name)
		if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != int64(len(noResolver)) {
			continue
		}
		data, err := in.root.Read(name)
		if err != nil {
			return err
		}
		if string(data) != noResolver {
			continue
		}
		if err := in.root.Remove(name); err != nil {
			return err
		}
	}
	return nil
}

func (in *Installer) unguard() error {
	in.root.Forget()
	if err := in.unguardResolver(); err != nil {
		return err
	}
	if err := in.root.Remove(policyRC); err != nil {
		return err
	}
	if _, err := in.root.Lstat(realDaemon); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return in.root.Rename(realDaemon, fakeDaemon)
}

func dirOf(name string) string { return path.Dir(name) }
