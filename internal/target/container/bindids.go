package container

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"

	"slipway/internal/sandbox"

	"golang.org/x/sys/unix"
)

const idleEntry = "slipway:idle"

func init() {
	sandbox.RegisterEntry(idleEntry, func() int {
		io.Copy(io.Discard, os.Stdin)
		return 0
	})
}

// bindIDs makes the user namespace through which a bind is shown: the owner of
// the host's folder is the machine's root, and nobody else is anybody. So the
// machine can write what its root may, and never gains another host identity.
// Only host root can map ids on host file systems: as a user, and where the
// source is in the machine's range already, there is no mapping (nil).
func (b *body) bindIDs(source string) (*os.File, error) {
	if b.User {
		return nil, nil
	}
	var st unix.Stat_t
	if err := unix.Stat(source, &st); err != nil {
		return nil, fmt.Errorf("showing %s in the machine: %w", source, err)
	}
	if id := int64(st.Uid); id >= b.IDs.UID && id < b.IDs.UID+b.IDs.Count {
		return nil, nil
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{idleEntry}, Env: []string{},
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: int(st.Uid), HostID: int(b.IDs.UID), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: int(st.Gid), HostID: int(b.IDs.GID), Size: 1}},
		},
	}
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("mapping the owner of %s: %w", source, err)
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", cmd.Process.Pid))
	hold.Close()
	cmd.Wait()
	return ns, err
}
