package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
)

// shares starts a server for each shared folder, or falls back to 9p where
// there is no server to be had and none was insisted on.
func (s *starter) shares(ctx context.Context) error {
	s.w.shares = make([]wire, len(s.c.Shares))
	for i := range s.c.Shares {
		share := &s.c.Shares[i]
		if share.Type == "9p" {
			s.w.shares[i].kind = "9p"
			continue
		}
		fd, err := s.virtiofsd(ctx, i, share)
		switch {
		case err == nil:
			share.Type = "virtiofs"
			s.w.shares[i] = wire{"virtiofs", fd}
		case share.Type == "virtiofs" || ctx.Err() != nil:
			return fmt.Errorf("machine %s, shared folder %s: %w", s.c.Name, share.Tag, err)
		default:
			share.Type, s.w.shares[i].kind = "9p", "9p"
		}
	}
	return nil
}

// virtiofsd starts a server and returns the number of QEMU's connection to it.
func (s *starter) virtiofsd(ctx context.Context, i int, share *Share) (int, error) {
	cmd, err := s.c.Programs.Command(context.WithoutCancel(ctx), "virtiofsd", "virtiofsd", virtiofsdArgs(share)...)
	if err != nil {
		return 0, err
	}
	listener, conn, err := s.meeting("share" + strconv.Itoa(i))
	if err != nil {
		return 0, err
	}
	inherit(cmd, listener)
	cmd.Stderr = s.vm.stderr
	p, err := launch(cmd)
	if err != nil {
		conn.Close()
		return 0, err
	}
	s.helpers = append(s.helpers, p)
	return s.give(conn), nil
}

// virtiofsdArgs is its command line; descriptor 3 is its socket.
func virtiofsdArgs(share *Share) []string {
	args := []string{"--fd=3", "--shared-dir=" + share.Path, "--sandbox=" + confinement(), "--xattr", "--cache=auto",
		"--inode-file-handles=never", "--rlimit-nofile=0", "--log-level=error"}
	if share.ReadOnly {
		args = append(args, "--readonly")
	}
	if share.Owner != 0 {
		one := fmt.Sprintf("=map:0:%d:1", share.Owner)
		args = append(args, "--translate-uid"+one, "--translate-gid"+one)
	}
	return args
}

// confinement is how a server of folders locks itself in: root can take
// namespaces of its own, others are held by their own rights.
func confinement() string {
	if os.Geteuid() == 0 {
		return "namespace"
	}
	return "none"
}

// meeting makes a listening socket for a server, and QEMU's connection to it,
// which waits there until the server accepts it. The socket's name is short
// however deep the run folder lies, and it is gone when both are made.
func (s *starter) meeting(name string) (listener, conn *os.File, err error) {
	dir, err := os.Open(s.c.RunDir)
	if err != nil {
		return nil, nil, fmt.Errorf("opening the run folder: %w", err)
	}
	defer dir.Close()
	path := filepath.Join("/proc/self/fd", strconv.Itoa(int(dir.Fd())), name)
	os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	defer l.Close() // and its name; the descriptors live on
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	if listener, err = l.File(); err != nil {
		return nil, nil, err
	}
	if conn, err = c.File(); err != nil {
		listener.Close()
		return nil, nil, err
	}
	return listener, conn, nil
}

// tpm starts the machine's TPM, whose state stays in its folder.
func (s *starter) tpm(ctx context.Context) error {
	if s.c.TPM == "" {
		return nil
	}
	if err := os.MkdirAll(s.c.TPM, 0o700); err != nil {
		return fmt.Errorf("machine %s: making the TPM's folder: %w", s.c.Name, err)
	}
	cmd, err := s.c.Programs.Command(context.WithoutCancel(ctx), "swtpm", "swtpm", "socket", "--tpm2",
		"--tpmstate", "dir="+s.c.TPM, "--ctrl", "type=unixio,clientfd=3", "--terminate")
	if err != nil {
		return err
	}
	// Not our end but QEMU's: both sides are children.
	ours, theirs, err := pair("tpm")
	if err != nil {
		return err
	}
	defer ours.Close()
	unixConn, ok := ours.(*net.UnixConn)
	if !ok {
		theirs.Close()
		return errors.New("the TPM's connection is no socket")
	}
	conn, err := unixConn.File()
	if err != nil {
		theirs.Close()
		return err
	}
	inherit(cmd, theirs)
	cmd.Stderr = s.vm.stderr
	p, err := launch(cmd)
	if err != nil {
		conn.Close()
		return err
	}
	s.helpers = append(s.helpers, p)
	s.w.tpm = s.give(conn)
	return nil
}
