package mkfs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"slipway/internal/sandbox"
	"slipway/internal/target/qemu"
	"slipway/internal/tree"
)

// In the machine, slipway is the first and only process: the kernel starts it
// by a name that makes it come here.
func init() { sandbox.RegisterEntry(programPath, guest) }

// guest does the job and switches the machine off. It does not return.
func guest() int {
	debug.SetGCPercent(400) // nobody else wants the memory
	port, err := firstSteps()
	out := &line{w: port}
	if err == nil {
		err = work(out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "slipway:", err)
		if port != nil {
			out.say(sayError, []byte(err.Error()))
		}
	}
	if port != nil {
		awaitHeard(port)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	time.Sleep(time.Minute) // the machine ends meanwhile
	return 1
}

// firstSteps mounts what shows devices, loads the modules, and opens the port
// to the host.
func firstSteps() (*os.File, error) {
	for _, m := range []struct{ kind, target string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}} {
		if err := unix.Mount(m.kind, m.target, m.kind, 0, ""); err != nil && err != unix.EBUSY {
			return nil, fmt.Errorf("mounting %s: %w", m.target, err)
		}
	}
	j, err := readJob()
	if err != nil {
		return nil, err
	}
	for _, file := range j.Modules {
		if err := loadModule(file); err != nil {
			return nil, err
		}
	}
	return openPort(qemu.AgentPort)
}

// awaitHeard waits until the host says that it has heard the last word: what is
// written to the port is on its way for a while, and is lost if the machine
// ends meanwhile.
func awaitHeard(port *os.File) {
	fds := []unix.PollFd{{Fd: int32(port.Fd()), Events: unix.POLLIN}}
	unix.Poll(fds, int(leaving.Milliseconds()))
}

func readJob() (*job, error) {
	data, err := os.ReadFile(jobPath)
	if err != nil {
		return nil, err
	}
	j := new(job)
	return j, json.Unmarshal(data, j)
}

// work makes the volume and tells the host what lies in it.
func work(out *line) error {
	j, err := readJob()
	if err != nil {
		return err
	}
	device, err := findDisk(volumeSerial)
	if err != nil {
		return err
	}
	source, err := receive()
	if err != nil {
		return err
	}
	go out.beat(&source.done)
	var got *tree.Manifest
	for _, step := range []struct {
		stage string
		do    func() error
	}{
		{"make the file system", func() error { return makeFilesystem(j, device) }},
		{"write the tree", func() error { return fill(j, device, source) }},
		{"read the tree back", func() (err error) { got, err = readBack(j, device, source); return err }},
	} {
		if err := out.say(sayStage, []byte(step.stage)); err != nil {
			return err
		}
		if err := step.do(); err != nil {
			return err
		}
	}
	var encoded bytes.Buffer
	if err := got.Encode(&encoded); err != nil {
		return err
	}
	if err := out.say(sayTree, encoded.Bytes()); err != nil {
		return err
	}
	return out.end()
}

// receive opens the disk with the tree.
func receive() (*treeDisk, error) {
	device, err := findDisk(treeSerial)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(device)
	if err != nil {
		return nil, err
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	return openTree(f, size)
}

func makeFilesystem(j *job, device string) error {
	cmd := exec.Command(j.Command[0], append(j.Command[1:len(j.Command):len(j.Command)], device)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "LC_ALL=C"}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", j.Command[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// target is where the volume is mounted.
const target = "/target"

// fill writes the tree into the volume.
func fill(j *job, device string, source *treeDisk) error {
	if err := mount(j, device, 0); err != nil {
		return err
	}
	for _, s := range j.Subvolumes { // sorted: what holds another comes first
		if err := makeSubvolume(target, s); err != nil {
			return fmt.Errorf("making the subvolume /%s: %w", s, err)
		}
	}
	if err := tree.Materialise(context.Background(), target, source.manifest, source, tree.MaterialiseOptions{Devices: true}); err != nil {
		return explain(err, source.manifest)
	}
	if err := syncTarget(); err != nil {
		return explain(err, source.manifest)
	}
	return unmount()
}

// readBack reads all that the volume holds, from the disk and not from what
// the kernel still remembers.
func readBack(j *job, device string, source *treeDisk) (*tree.Manifest, error) {
	if err := mount(j, device, unix.MS_RDONLY); err != nil {
		return nil, err
	}
	got, err := scan(target, j.Subvolumes, (&comparer{target, source}).known)
	if err != nil {
		return nil, err
	}
	return got, unmount()
}
