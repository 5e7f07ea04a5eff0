package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"slipway/internal/target"
	"slipway/internal/target/sshway"
	"slipway/internal/target/supervisor"
)

func newSSH(env *Env) *cobra.Command {
	var port int
	var config, builtin bool
	cmd := &cobra.Command{
		Use:   "ssh [USER@]NAME [CMD...]",
		Short: "Log in to a machine by ssh, with a key made for it",
		Long: `Log in to a machine's ssh server, as root or as USER. The key is slipway's own,
made the first time and put into the running machine, never into its tree; the
host keys are learned from inside. As with any ssh, the words of CMD are joined
and read by the shell at the other end. The host's ssh client is used when there
is one. Exit status: the command's; 125 when no session came about.

With --config the path of a configuration is printed: after
"Include PATH" in ~/.ssh/config, ssh, scp, rsync and git reach the machines that
run by their names.`,
		Example: `  slipway ssh web
  slipway ssh ops@web sudo systemctl restart nginx
  echo "Include $(slipway ssh --config)" >> ~/.ssh/config`,
		Args: func(cmd *cobra.Command, args []string) error {
			if config == (len(args) > 0) {
				return errors.New("name a machine, or say --config alone")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if config {
				return env.sshConfig()
			}
			l := login{env: env, port: strconv.Itoa(port), builtin: builtin, words: args[1:]}
			l.user, l.name = userAndName(args[0])
			status, err := l.run(cmd.Context())
			if err != nil {
				return ownFailure(err)
			}
			return exitWith(status)
		},
	}
	cmd.Flags().IntVarP(&port, "port", "p", 22, "`PORT` of the ssh server in the machine")
	cmd.Flags().BoolVar(&config, "config", false, "print the path of a configuration for ssh to include")
	cmd.Flags().BoolVar(&builtin, "builtin", false, "use slipway's own client even when the host has ssh")
	cmd.Flags().SetInterspersed(false) // slipway's flags end at NAME
	return cmd
}

func userAndName(text string) (user, name string) {
	if user, name, ok := strings.Cut(text, "@"); ok {
		return user, name
	}
	return "root", text
}

// sshConfig renews the configuration of the store's machines and prints where it is.
func (e *Env) sshConfig() error {
	s, err := e.storeDir()
	if err != nil {
		return err
	}
	dir := target.SSHDir(s)
	if _, err := dir.Key(); err != nil {
		return err
	}
	if err := target.WriteSSHConfig("", dir); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Stdout, dir.ConfigPath())
	return err
}

// login is one use of ssh.
type login struct {
	env              *Env
	user, name, port string
	builtin          bool
	words            []string
}

func (l *login) run(ctx context.Context) (int, error) {
	m, err := supervisor.Find("", l.name)
	if err != nil {
		return 0, err
	}
	reach, err := m.Reach(ctx)
	if err != nil {
		return 0, err
	}
	defer reach.Close()
	pair, keys, err := reach.PrepareSSH(ctx, l.user)
	if err != nil {
		return 0, err
	}
	conn, err := reach.DialSSH(ctx, l.port) // for a clear word when nobody listens
	if err != nil {
		return 0, err
	}
	if program, err := exec.LookPath("ssh"); err == nil && !l.builtin {
		conn.Close()
		return l.host(ctx, program, m)
	}
	return l.own(ctx, conn, &sshway.Client{Machine: l.name, User: l.user, Key: pair.Signer, HostKeys: keys})
}

// host runs the host's ssh client, which comes back to us by `slipway connect`.
func (l *login) host(ctx context.Context, program string, m *supervisor.Machine) (int, error) {
	dir := m.SSHDir()
	if err := target.WriteSSHConfig(m.Runtime(), dir); err != nil {
		return 0, err
	}
	args := []string{"-F", dir.ConfigPath(), "-l", l.user, "-p", l.port}
	if len(l.words) == 0 && isTerminal(l.env.Stdin) && isTerminal(l.env.Stdout) {
		args = append(args, "-t")
	}
	args = append(append(args, "--", l.name), l.words...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = l.env.Stdin, l.env.Stdout, l.env.Stderr
	err := cmd.Start()
	if err == nil {
		signal.Ignore(unix.SIGQUIT) // the terminal sends it to ssh too; not before, or ssh would inherit it
		defer signal.Reset(unix.SIGQUIT)
		err = cmd.Wait()
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return 0, err
	}
	const lost = 255 // ssh(1): it was ssh that failed
	if exit.ExitCode() == lost {
		return 0, fmt.Errorf("ssh to %s ended with status 255: no session came about, or it broke off", l.name)
	}
	return exit.ExitCode(), nil
}

// own logs in with the built-in client.
func (l *login) own(ctx context.Context, conn net.Conn, c *sshway.Client) (int, error) {
	c.Stdin, c.Stdout, c.Stderr = l.env.Stdin, l.env.Stdout, l.env.Stderr
	if in, ok := l.env.Stdin.(*os.File); ok && len(l.words) == 0 && isTerminal(in) && isTerminal(l.env.Stdout) {
		c.Terminal = in
	}
	return c.Run(ctx, conn, strings.Join(l.words, " "))
}
