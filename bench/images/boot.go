package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"slipway/internal/bootfiles"
	"slipway/internal/bootfiles/blockid"
	"slipway/internal/bootfiles/initramfs"
	"slipway/internal/distro/deb"
	"slipway/internal/guest"
	"slipway/internal/image/compress"
	"slipway/internal/store"
	"slipway/internal/target/qemu"
	"slipway/internal/tools"
)

// started is a machine whose init tells when the kernel had its root, and does
// nothing else: what comes after the root is not measured.
const started = `slipway: v1
name: start
system: debian/trixie
packages: [initramfs-tools]
boot: {initramfs: distro}
files:
  - path: /mark
    mode: "0755"
    content: |
      #!/bin/sh
      mount -t devtmpfs dev /dev 2>/dev/null
      mount -t proc proc /proc 2>/dev/null
      dmesg | grep -E 'Run /init as|EXT4-fs \(vda\): mounted' >/dev/ttyS0
      echo marked >/dev/ttyS0
      sleep 1000
`

// boots starts one kernel with one root, again and again.
type boots struct {
	programs qemu.Programs
	accel    *qemu.Accel
	dir      string
	kernel   string
	root     string
	arms     []*arm
}

// arm is one way to start: an initramfs and a command line.
type arm struct {
	name, initrd, cmdline string
	init, root            []float64 // seconds of the guest's clock
	counted               [2]float64
}

// prepareBoots builds the root and both initramfs.
func (b *bench) prepareBoots(ctx context.Context, s *store.Store) (*boots, error) {
	if err := os.WriteFile(b.path("bench.yaml"), []byte(started), 0o644); err != nil {
		return nil, err
	}
	if err := errors.Join(b.build("start.ext4"), b.build("start.tar", "--for", "bootable")); err != nil {
		return nil, err
	}
	if err := sh("mkdir start && tar -xpf start.tar -C start && rm start.tar", b.dir); err != nil {
		return nil, err
	}
	m := &boots{dir: b.dir, root: b.path("start.ext4")}
	m.programs = tools.Open(ctx, tools.Deps{Store: s, Family: deb.New(s)})
	var err error
	if m.accel, err = qemu.Accelerator(ctx, m.programs, "amd64", ""); err != nil {
		return nil, err
	}
	kernels, _ := filepath.Glob(b.path("start/boot/vmlinuz-*"))
	if len(kernels) != 1 {
		return nil, fmt.Errorf("the tree has %d kernels", len(kernels))
	}
	m.kernel = kernels[0]
	version := strings.TrimPrefix(filepath.Base(m.kernel), "vmlinuz-")
	uuid, err := uuidOf(m.root)
	if err != nil {
		return nil, err
	}
	line := "root=UUID=" + uuid + " rootfstype=ext4 ro console=ttyS0,115200 quiet init=/mark"
	ours, theirs := b.path("ours.initrd"), b.path("start/boot/initrd.img-"+version)
	m.arms = []*arm{
		{name: "slipway", initrd: ours, cmdline: qemu.Emulated("amd64", line)},
		{name: "distribution, the same command line", initrd: theirs, cmdline: qemu.Emulated("amd64", line)},
		{name: "distribution, its own command line", initrd: theirs, cmdline: line},
	}
	return m, b.initramfs(b.path("start"), version, "vm", ours)
}

func uuidOf(image string) (string, error) {
	f, err := os.Open(image)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := blockid.Probe(f)
	return info.UUID, err
}

// initramfs makes ours from a tree.
func (b *bench) initramfs(tree, version, set, out string) error {
	helper, err := guest.Program("amd64")
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	packer := compress.Zstd.Writer
	if set == "vm" { // a virtual machine gets it as it is
		packer = nil
	}
	return initramfs.Build(f, os.DirFS(tree), initramfs.Options{
		Version: version, Set: set, Modules: []string{"ext4"}, Helper: helper, Compress: packer,
		Decompress: decompress, Config: bootfiles.Config{Target: set},
	})
}

var mark = regexp.MustCompile(`\[ *([0-9.]+)\] (Run /init|EXT4-fs)`)

// once starts the machine and gives the guest's clock at /init and at the root.
func (m *boots) once(ctx context.Context, a *arm, more ...string) (init, root float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	vm, err := qemu.Start(ctx, qemu.Config{
		Programs: m.programs, Accel: m.accel, Name: "start", Memory: 1 << 30, RunDir: m.dir,
		Boot:  qemu.Boot{Kernel: m.kernel, Initrd: a.initrd, Cmdline: a.cmdline},
		Disks: []qemu.Disk{{Path: m.root, ReadOnly: true}}, Extra: more,
	})
	if err != nil {
		return 0, 0, err
	}
	defer vm.Quit(context.WithoutCancel(ctx))
	defer vm.Console.Close()
	defer vm.Agent.Close()
	go io.Copy(io.Discard, vm.Agent)
	stop := context.AfterFunc(ctx, func() { vm.Console.Close() })
	defer stop()
	var tail []string
	for lines := bufio.NewScanner(vm.Console); lines.Scan(); {
		tail = append(tail, lines.Text())
		g := mark.FindStringSubmatch(lines.Text())
		switch {
		case g != nil && g[2] == "EXT4-fs":
			root, _ = strconv.ParseFloat(g[1], 64)
		case g != nil:
			init, _ = strconv.ParseFloat(g[1], 64)
		case strings.Contains(lines.Text(), "marked") && init > 0 && root > init:
			return init, root, nil
		}
	}
	return 0, 0, cmp.Or(ctx.Err(), fmt.Errorf("the machine did not get to its root: %s", strings.Join(tail[max(0, len(tail)-5):], "\n")))
}

// counting makes the guest's clock count its instructions, one nanosecond each,
// and leave out where it only waits: a busy host changes nothing about that.
var counting = []string{"-icount", "shift=0,sleep=off"}

func (m *boots) measure(ctx context.Context, runs int) error {
	for round := range runs + 1 {
		for _, a := range m.arms {
			var more []string
			if round == 0 && m.accel.Name == "tcg" {
				more = counting
			}
			init, root, err := m.once(ctx, a, more...)
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", a.name, err)
			case more != nil:
				a.counted = [2]float64{init, root}
			default:
				a.init, a.root = append(a.init, root-init), append(a.root, root)
			}
		}
	}
	return nil
}

// report is a table of its own: what is measured is the guest's clock.
func (m *boots) report() string {
	var text strings.Builder
	fmt.Fprintf(&text, "\n## From the kernel's start to the mounted root\n\n"+
		"The same kernel of Debian trixie, disk and virtual machine (%s, one processor), by the guest's own clock; medians and\n"+
		"spread of %d starts of each, in turns. The last column is a start whose clock counts instructions, 10^9 a second, so\n"+
		"that a busy host changes nothing.\n\n"+
		"| initramfs | start to root, s | /init to root, s | counted: start to root, /init to root |\n|---|---|---|---|\n",
		m.accel.Name, len(m.arms[0].root))
	for _, a := range m.arms {
		fmt.Fprintf(&text, "| %s | %s | %s | %.2f, %.2f |\n", a.name, spread(seconds(a.root)), spread(seconds(a.init)),
			a.counted[1], a.counted[1]-a.counted[0])
	}
	ours := m.arms[0]
	text.WriteString("\n")
	for _, a := range m.arms[1:] {
		fmt.Fprintf(&text, "Ratio to %s: start to root %.2f, /init to root %.2f (counted: %.2f, %.2f).\n", a.name,
			ratio(ours.root, a.root), ratio(ours.init, a.init),
			ours.counted[1]/a.counted[1], (ours.counted[1]-ours.counted[0])/(a.counted[1]-a.counted[0]))
	}
	return text.String()
}

func ratio(a, b []float64) float64 {
	return median(seconds(a)).Seconds() / median(seconds(b)).Seconds()
}

func seconds(v []float64) []time.Duration {
	out := make([]time.Duration, len(v))
	for i := range v {
		out[i] = time.Duration(v[i] * 1e9)
	}
	return slices.Clip(out)
}
