package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"slipway/internal/sandbox"

	"golang.org/x/sys/unix"
)

// Command starts a process in the lab's namespaces: as a user it is root of
// the lab's user namespace, as root it is real root. It calls Inside first.
type Command struct {
	sandbox.Enter
	lab *Lab
}

// Command prepares a start of this program with args (argv[0] names a hidden
// entry, see sandbox.RegisterEntry). Files, Env and the other fields of Enter
// may be set before Start; Files are descriptors 0 and up.
func (l *Lab) Command(args ...string) *Command {
	return &Command{lab: l, Enter: sandbox.Enter{User: l.user, Net: l.net, NewMount: l.user != nil, Args: args, Setsid: true}}
}

// Start starts the process. Files keep their numbers; one more is passed after
// them as root, the host's network, for the clean-up by the last member.
func (c *Command) Start() (*os.Process, error) {
	e := c.Enter
	e.Env = append(append([]string{}, e.Env...), envDir+"="+c.lab.dir)
	if c.lab.hostNet != nil {
		e.Env = append(e.Env, envHostNet+"="+strconv.Itoa(len(e.Files)))
		e.Files = append(append([]*os.File{}, e.Files...), c.lab.hostNet)
	}
	p, err := e.Start()
	if err != nil {
		return nil, fmt.Errorf("starting a process in the lab: %w", err)
	}
	return p, nil
}

// Inside makes a process that was started by Command a member by itself, so
// that the lab outlives the command that created it. The caller of Command
// must stay a member until this has happened.
func Inside(ctx context.Context) (*Lab, error) {
	dir := os.Getenv(envDir)
	if dir == "" {
		return nil, errors.New("joining the lab from inside: this process was not started in a lab")
	}
	l := &Lab{dir: dir, inside: true}
	if n, err := strconv.Atoi(os.Getenv(envHostNet)); err == nil {
		unix.CloseOnExec(n)
		l.hostNet = os.NewFile(uintptr(n), "host network")
		l.root = true
	}
	lock, err := lockFile(ctx, l.lockPath())
	if err != nil {
		return nil, fmt.Errorf("joining the lab from inside: %w", err)
	}
	defer lock.Close()
	self := "/proc/" + strconv.Itoa(os.Getpid())
	user := ""
	l.net, err = os.Open("/proc/thread-self/ns/net")
	if err == nil && !l.root {
		user = self + "/ns/user"
		l.user, err = os.Open(user)
	}
	if err == nil {
		err = readJSON(filepath.Join(dir, "lab.json"), &l.Subnets)
	}
	if err == nil {
		err = l.register(user, self+"/ns/net")
	}
	if err != nil {
		l.close()
		return nil, fmt.Errorf("joining the lab from inside: %w", err)
	}
	return l, nil
}
