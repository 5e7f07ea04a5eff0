package metal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/e2e/kit"
)

// layout is a disk without a kernel, so that nothing large has to be built.
const layout = `packages: [toy]
kernel: {package: none}
boot: {loader: none}
disk:
  size: 48M
  partitions:
    - {use: root, name: root, size: 24M}
    - {use: data, name: srv, mount: /srv, size: 4M}
`

// bench is a definition and the world to write it in.
type bench struct {
	*kit.World
	t    *testing.T
	file string
}

func newBench(t *testing.T, text string) *bench {
	t.Helper()
	kit.NeedMachines(t)
	w := kit.NewWorld(t)
	return &bench{w, t, kit.Write(t, w.Dir, "toy.yaml", kit.NewToy(t).Machine("toy", text))}
}

// disk makes a file that stands for a disk, with something in every byte.
func (b *bench) disk(name string, size int) string {
	b.t.Helper()
	path := filepath.Join(b.Dir, name)
	if err := os.WriteFile(path, bytes.Repeat([]byte{0xee}, size), 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// write runs the verb with the consent that it wants.
func (b *bench) write(file, disk string, more ...string) kit.Result {
	b.t.Helper()
	return b.Run(append([]string{"write", file, disk, "--yes-erase", disk}, more...)...)
}

// refused wants a message, and a disk that is as it was.
func (b *bench) refused(r kit.Result, disk string, want string) {
	b.t.Helper()
	if r.Status == 0 || !strings.Contains(r.Stderr, want) {
		b.t.Errorf("exit status %d, want %q\n%s", r.Status, want, r.Text())
	}
	held, err := os.ReadFile(disk)
	if err == nil && len(bytes.Trim(held, "\xee")) > 0 {
		b.t.Error("the disk has changed")
	}
}

// TestWriteDefinition writes a machine to a file, and tells its steps as JSON.
func TestWriteDefinition(t *testing.T) {
	b := newBench(t, layout)
	disk := b.disk("disk", 64<<20)
	r := b.write(b.file, disk, "--json")
	if r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	var last map[string]any
	for line := range strings.Lines(r.Stdout) {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	if last["event"] != "written" || last["machine"] != "toy" || !strings.Contains(r.Stdout, "read it back") {
		t.Errorf("events:\n%s", r.Stdout)
	}
	if _, err := exec.LookPath("sfdisk"); err == nil {
		out, err := exec.Command("sfdisk", "--verify", disk).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "No errors detected") {
			t.Errorf("sfdisk: %v\n%s", err, out)
		}
	}
	empty := b.disk("empty", 0)
	if r := b.write(b.file, empty); r.Status != 0 {
		t.Errorf("an empty file: %s", r.Text())
	}
	if st, err := os.Stat(empty); err != nil || st.Size() != 48<<20 {
		t.Errorf("it is not as large as disk.size says: %v, %v", st, err)
	}
}

// TestWriteRefuses: nothing is built or written for what cannot be.
func TestWriteRefuses(t *testing.T) {
	b := newBench(t, layout)
	disk := b.disk("disk", 32<<20)
	b.refused(b.write(b.file, disk), disk, "disk.size is 48M, and "+disk+" has 32 MiB")
	b.refused(b.Run("write", b.file, disk), disk, "disk.size is 48M")
	b.refused(b.Run("write", b.file, disk, "--set", "disk.size=32M"), disk, "add: --yes-erase "+disk)
	b.refused(b.Run("write", b.file, disk, "--set", "disk.size=32M", "--yes-erase", "OTHER"), disk, "nothing was written")
	b.refused(b.write(b.file, filepath.Join(b.Dir, "absent")), disk, "truncate -s 4G "+filepath.Join(b.Dir, "absent"))
	if err := os.Chmod(disk, 0o400); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		b.refused(b.write(b.file, disk), disk, "chmod u+w "+disk)
	}
}

// TestWriteDamagedImage: three flipped bytes are seen before anything is erased.
func TestWriteDamagedImage(t *testing.T) {
	b := newBench(t, layout)
	image := filepath.Join(b.Dir, "toy.raw")
	b.Must("build", b.file, "-o", image)
	disk := b.disk("disk", 64<<20)
	good, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	bad := bytes.Clone(good)
	for _, at := range []int{3 << 20, 9<<20 + 17, len(bad) - 5<<20} {
		bad[at] ^= 0x10
	}
	if err := os.WriteFile(image, bad, 0o644); err != nil {
		t.Fatal(err)
	}
	b.refused(b.write(image, disk), disk, "got SHA-256")
	if err := os.WriteFile(image, good, 0o644); err != nil {
		t.Fatal(err)
	}
	if r := b.write(image, disk); r.Status != 0 {
		t.Errorf("the undamaged image: %s", r.Text())
	}
}

// TestWriteKeepsTable fills partitions that are there; a foreign one, the
// table, and a file system that lasts keep every byte.
func TestWriteKeepsTable(t *testing.T) {
	if _, err := exec.LookPath("sfdisk"); err != nil {
		t.Skip("sfdisk is not installed")
	}
	b := newBench(t, layout)
	disk := b.disk("disk", 96<<20)
	cmd := exec.Command("sfdisk", "-q", "--no-reread", disk)
	cmd.Stdin = strings.NewReader("label: gpt\nsize=8MiB, name=theirs\nsize=32MiB, name=root\nsize=8MiB, name=srv\nsize=8MiB, name=\"their data\"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
	before := b.read(disk)
	if r := b.write(b.file, disk, "--keep-table"); r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	first := b.read(disk)
	for _, span := range []struct {
		name     string
		from, to int
		same     bool
	}{{"the table", 0, 1, true}, {"the first partition", 1, 9, true}, {"the root", 9, 41, false}, {"the data", 41, 49, false}, {"the last partition and the table's copy", 49, 96, true}} {
		if same := bytes.Equal(before[span.from<<20:span.to<<20], first[span.from<<20:span.to<<20]); same != span.same {
			t.Errorf("%s: unchanged is %t", span.name, same)
		}
	}
	if r := b.write(b.file, disk, "--keep-table", "--set", "files=[{path: /etc/new, content: new}]"); r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	second := b.read(disk)
	if !bytes.Equal(first[41<<20:], second[41<<20:]) || !bytes.Equal(first[:9<<20], second[:9<<20]) {
		t.Error("the second time more than the root has changed")
	}
	if r := b.write(b.file, disk, "--keep-table", "--set", "disk.partitions.0.name=absent"); r.Status == 0 || !strings.Contains(r.Stderr, `no partition of the disk is named "absent"`) {
		t.Errorf("exit status %d\n%s", r.Status, r.Text())
	}
	if !bytes.Equal(second, b.read(disk)) {
		t.Error("a refused write has changed the disk")
	}
}

// TestWriteBare puts a bare file system on a disk of large sectors, as a guest
// in a logical volume has it, and refuses to put a table there that the disk
// could not start from.
func TestWriteBare(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a loop device needs root")
	}
	b := newBench(t, strings.Split(layout, "disk:")[0]+"disk: {table: none}\n")
	image := filepath.Join(b.Dir, "tabled.raw")
	b.Must("build", kit.Write(t, b.Dir, "tabled.yaml", strings.Split(string(b.read(b.file)), "packages:")[0]+layout), "-o", image)
	out, err := exec.Command("losetup", "--find", "--show", "--sector-size", "4096", b.disk("disk", 64<<20)).CombinedOutput()
	if err != nil {
		t.Skipf("no loop device: %s", out)
	}
	loop := strings.TrimSpace(string(out))
	defer exec.Command("losetup", "-d", loop).Run()
	if r := b.write(image, loop); r.Status == 0 || !strings.Contains(r.Stderr, "disk.sector_size: 4096") {
		t.Errorf("an image of small sectors: exit status %d\n%s", r.Status, r.Text())
	}
	if r := b.write(b.file, loop, "--set", "disk.size=65M"); r.Status == 0 || !strings.Contains(r.Stderr, "disk.size is 65M") {
		t.Errorf("more than the disk has: exit status %d\n%s", r.Status, r.Text())
	}
	if r := b.write(b.file, loop); r.Status != 0 {
		t.Fatalf("exit status %d\n%s", r.Status, r.Text())
	}
	for _, judge := range [][]string{{"e2fsck", "-fn", loop}, {"blkid", "-p", "-s", "TYPE", "-o", "value", loop}} {
		if _, err := exec.LookPath(judge[0]); err != nil {
			t.Logf("%s is not installed", judge[0])
			continue
		}
		out, err := exec.Command(judge[0], judge[1:]...).CombinedOutput()
		if err != nil || judge[0] == "blkid" && strings.TrimSpace(string(out)) != "ext4" {
			t.Errorf("%s: %v\n%s", judge[0], err, out)
		}
	}
}

func (b *bench) read(path string) []byte {
	b.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}

// mark is how a disk begins while it is written.
const mark = "slipway: unfinished write\n"

// TestWriteInterrupted kills slipway, or asks it to end, while it writes: the
// disk says so at the next attempt, which succeeds.
func TestWriteInterrupted(t *testing.T) {
	w := kit.NewWorld(t)
	b := &bench{World: w, t: t}
	image := b.largeImage()
	for _, c := range []struct {
		signal syscall.Signal
		status int
	}{{syscall.SIGKILL, -1}, {syscall.SIGINT, 130}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			disk := b.disk("disk", 256<<20)
			got := b.interrupt(c.signal, image, disk)
			if got.Status != c.status || strings.Contains(got.Text(), "read back and compared") {
				t.Errorf("exit status %d, want %d\n%s", got.Status, c.status, got.Text())
			}
			if !bytes.HasPrefix(b.read(disk), []byte(mark)) {
				t.Fatal("the disk has no mark")
			}
			if told := strings.Contains(got.Stderr, "was left half written"); told != (c.signal == syscall.SIGINT) {
				t.Errorf("told about it: %t\n%s", told, got.Stderr)
			}
			r := b.write(image, disk)
			if r.Status != 0 || !strings.Contains(r.Stderr, "an unfinished write of large.raw, begun 20") {
				t.Errorf("the next attempt: exit status %d\n%s", r.Status, r.Text())
			}
			if !bytes.HasPrefix(b.read(disk), b.read(image)) {
				t.Error("the disk does not hold the image")
			}
		})
	}
}

// largeImage is an image that takes a moment to write.
func (b *bench) largeImage() string {
	b.t.Helper()
	data := make([]byte, 192<<20)
	rand.NewChaCha8([32]byte{}).Read(data)
	data[510] = 0 // no partition table
	sum := sha256.Sum256(data)
	path := filepath.Join(b.Dir, "large.raw")
	err := os.WriteFile(path, data, 0o600)
	if err == nil {
		err = os.WriteFile(path+".sha256", []byte(hex.EncodeToString(sum[:])+"  large.raw\n"), 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return path
}

// interrupt sends a signal as soon as the disk carries the mark.
func (b *bench) interrupt(signal syscall.Signal, image, disk string) kit.Result {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := b.Command(ctx, "write", image, disk, "--yes-erase", disk)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	f, err := os.Open(disk)
	if err != nil {
		b.t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, len(mark))
	for ctx.Err() == nil && string(head) != mark {
		if _, err := f.ReadAt(head, 0); err != nil {
			b.t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	cmd.Process.Signal(signal)
	cmd.Wait()
	return kit.Result{Status: cmd.ProcessState.ExitCode(), Stdout: out.String(), Stderr: errs.String()}
}
