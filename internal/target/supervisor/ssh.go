package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/crypto/ssh"

	"slipway/internal/probe"
	"slipway/internal/target/sshway"
)

var _ probe.KeyHolder = (*Reach)(nil)

// SSHDir is where the keys for this machine are.
func (m *Machine) SSHDir() sshway.Dir {
	if m.rec.Spec.SSHDir != "" {
		return sshway.Dir(m.rec.Spec.SSHDir)
	}
	return sshway.Dir(filepath.Join(m.rec.Spec.Runtime, "ssh"))
}

// Runtime is the folder in which the machine is recorded.
func (m *Machine) Runtime() string { return m.rec.Spec.Runtime }

// allowKey runs in the machine, as root, and prints the host keys. A user's
// file is written as that user, to whom the folder belongs and who may have
// put anything there.
const allowKey = `
user=$1 line=$2
entry=$(getent passwd "$user" 2>/dev/null || grep "^$user:" /etc/passwd) || exit 41
command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || exit 42
home=$(printf '%s' "$entry" | cut -d: -f6)
put='umask 077
mkdir -p "$1/.ssh" && f=$1/.ssh/authorized_keys && { grep -qxF -- "$2" "$f" 2>/dev/null || printf "%s\n" "$2" >>"$f"; }'
if [ "$user" = root ]; then
	sh -c "$put" sh "$home" "$line" || exit 43
else
	[ -d "$home" ] || exit 44
	su -s /bin/sh "$user" -c "$put" sh "$home" "$line" || exit 43
fi
cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null || exit 45
`

// PrepareSSH lets this user of the host in as a user of the machine, and
// learns the machine's host keys from inside, so that nothing on the way has
// to be trusted.
func (r *Reach) PrepareSSH(ctx context.Context, user string) (*sshway.Pair, []ssh.PublicKey, error) {
	dir := r.m.SSHDir()
	pair, err := dir.Key()
	if err != nil {
		return nil, nil, err
	}
	if d := r.m.rec.Spec.Definition; d != nil && d.FromImage() {
		// A stock image was given the key, and a host key, at its first boot.
		keys, err := dir.Known(r.m.Name)
		return pair, keys, err
	}
	got, err := r.Exec(ctx, probe.ExecRequest{Args: []string{"/bin/sh", "-c", allowKey, "sh", user, pair.Public}})
	if err != nil {
		return nil, nil, fmt.Errorf("preparing %s for ssh: %w", r.m.Name, err)
	}
	if got.Exit != 0 {
		return nil, nil, sshRefusal(r.m.Name, user, got)
	}
	keys := sshway.ParseHostKeys(got.Stdout)
	if len(keys) == 0 {
		return nil, nil, fmt.Errorf("machine %s has no host key in /etc/ssh: make them there with `ssh-keygen -A`", r.m.Name)
	}
	return pair, keys, dir.Learn(r.m.Name, keys)
}

func sshRefusal(name, user string, got probe.ExecResult) error {
	switch got.Exit {
	case 41:
		return fmt.Errorf("machine %s has no user %q; name one as USER@%s, or add it to `users:`", name, user, name)
	case 42:
		return fmt.Errorf("machine %s has no ssh server: add openssh-server to `packages:`, or use `slipway shell %s`", name, name)
	case 44:
		return fmt.Errorf("user %s of machine %s has no home folder to keep a key in", user, name)
	case 45:
		return fmt.Errorf("machine %s has no host key in /etc/ssh: make them there with `ssh-keygen -A`", name)
	}
	text := strings.TrimSpace(string(got.Stderr))
	return fmt.Errorf("letting a key in as %s on %s: exit status %d: %s", user, name, got.Exit, text)
}

// DialSSH connects with the machine's ssh server.
func (r *Reach) DialSSH(ctx context.Context, port string) (net.Conn, error) {
	conn, err := r.Dial(ctx, "tcp", net.JoinHostPort(r.Address().String(), port))
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil, fmt.Errorf("nothing listens on port %s of machine %s: does its ssh server run? slipway shell %s systemctl status ssh", port, r.m.Name, r.m.Name)
	}
	if err != nil {
		return nil, fmt.Errorf("reaching the ssh server of %s: %w", r.m.Name, err)
	}
	return conn, nil
}

// SSHKey gives the private key, and lets it in as user first.
func (r *Reach) SSHKey(ctx context.Context, user string) ([]byte, error) {
	pair, _, err := r.PrepareSSH(ctx, user)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(pair.Private), nil
}
