// Command images measures slipway's image writers beside the tools that people
// use now, on the same tree, in memory, one after the other in each round. It
// is started by bench/images/run and writes bench/IMAGES.md.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/klauspost/compress/zstd"

	"slipway/internal/store"
	"slipway/internal/xz"
)

// machine is the bootable set that all rows are about.
const machine = `slipway: v1
name: bench
system: debian/trixie
packages: [nginx-light, openssh-server]
files:
  - {path: /var/www/html/index.html, content: "%s\n"}
services: {enable: [nginx]}
`

// row is one work, done by slipway and by a peer.
type row struct {
	name, peer   string
	must         string
	rounds       int // 0: as many as asked for
	ours, theirs func() error
	size         [2]string // files whose sizes are told
}

type bench struct {
	dir, slipway, store string
	runs                int
	peak                int64 // KiB, of slipway
	version             string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench/images:", err)
		os.Exit(1)
	}
}

func run() error {
	b := &bench{}
	flag.StringVar(&b.slipway, "slipway", "bench/work/slipway", "the program")
	flag.StringVar(&b.store, "store", "", "its store; default: one in memory")
	flag.IntVar(&b.runs, "runs", 5, "rounds")
	only := flag.String("only", "", "only rows with this in their name; boot: the starts, on the terminal")
	out := flag.String("out", "bench/IMAGES.md", "where the results are written")
	flag.Parse()
	var err error
	if b.dir, err = os.MkdirTemp("/dev/shm", "slipway-images-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	b.slipway, _ = filepath.Abs(b.slipway)
	b.store = cmp.Or(b.store, filepath.Join(b.dir, "store"))
	if *only == "boot" {
		text, err := b.starts()
		fmt.Print(text)
		return err
	}
	if err := errors.Join(b.prepare(), b.prepareMkosi()); err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Image writers beside their peers\n\n"+
		"Made by `bench/images/run` on %s, %d processors, in memory (tmpfs), %d rounds, one after the other in each;\n"+
		"median of the wall time, and the spread. The tree is Debian trixie with kernel, systemd, nginx and sshd.\n\n"+
		"| work | peer | slipway s | peer s | ratio | must | sizes MB |\n|---|---|---|---|---|---|---|\n",
		time.Now().UTC().Format("2006-01-02"), runtime.NumCPU(), b.runs)
	for _, r := range append(b.rows(), b.mkosiRows()...) {
		if !strings.Contains(r.name, *only) {
			continue
		}
		line, err := b.measure(r)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		fmt.Print(line)
		text.WriteString(line)
	}
	fmt.Fprintf(&text, "\nPeak memory of slipway in these rows: %d MiB.\n", b.peak>>10)
	starts, err := b.starts()
	if err != nil {
		return err
	}
	fmt.Print(starts)
	text.WriteString(starts)
	return os.WriteFile(*out, []byte(text.String()), 0o644)
}

// starts measures how fast machines have their root.
func (b *bench) starts() (string, error) {
	ctx := context.Background()
	s, err := store.Open(b.store, store.Options{})
	if err != nil {
		return "", err
	}
	defer s.Close()
	m, err := b.prepareBoots(ctx, s)
	if err == nil {
		err = m.measure(ctx, b.runs)
	}
	if err != nil {
		return "", err
	}
	return m.report(), nil
}

func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// prepare builds the tree once, and unpacks it for the peers.
func (b *bench) prepare() error {
	if err := b.definition("afloat"); err != nil {
		return err
	}
	if err := b.build("tree.tar", "--for", "bootable"); err != nil {
		return err
	}
	if err := os.Mkdir(b.path("tree"), 0o755); err != nil {
		return err
	}
	if err := sh("tar -xpf tree.tar -C tree --xattrs --xattrs-include='*' && rm tree.tar", b.dir); err != nil {
		return err
	}
	versions, err := filepath.Glob(b.path("tree/usr/lib/modules/*"))
	if err != nil || len(versions) != 1 {
		return fmt.Errorf("the tree has %d kernels", len(versions))
	}
	b.version = filepath.Base(versions[0])
	return nil
}

func (b *bench) definition(text string) error {
	return os.WriteFile(b.path("bench.yaml"), fmt.Appendf(nil, machine, text), 0o644)
}

// build runs slipway and keeps its peak memory.
func (b *bench) build(out string, more ...string) error { return b.buildIn(b.store, out, more...) }

func (b *bench) buildIn(store, out string, more ...string) error {
	cmd := exec.Command(b.slipway, append([]string{"-q", "--store", store, "build", b.path("bench.yaml"), "-o", b.path(out)}, more...)...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("slipway: %v: %s", err, text)
	}
	b.peak = max(b.peak, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
	return nil
}

func sh(script, dir string) error {
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &errs
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %v: %s", script, err, errs.Bytes())
	}
	return nil
}

func (b *bench) rows() []row {
	return []row{
		{
			name: "disk image (GPT, ESP, ext4, loaders, initramfs) from the built tree", peer: "mke2fs -d, mtools, sfdisk", must: "0.8",
			ours: func() error { return b.build("x.raw") },
			theirs: func() error {
				return sh(`rm -f peer.raw root.ext4 esp.fat; truncate -s 700M root.ext4; mke2fs -q -F -t ext4 -d tree root.ext4
truncate -s 128M esp.fat; mkfs.vfat -F 32 esp.fat; mmd -i esp.fat ::/EFI ::/EFI/BOOT; mcopy -i esp.fat tree/boot/vmlinuz-* ::/vmlinuz
truncate -s 831M peer.raw; printf 'label: gpt\nstart=1MiB, size=128MiB, type=U\nstart=130MiB, size=700MiB, type=L\n' | sfdisk -q peer.raw
dd if=esp.fat of=peer.raw bs=1M seek=1 conv=notrunc,sparse status=none; dd if=root.ext4 of=peer.raw bs=1M seek=130 conv=notrunc,sparse status=none
sha256sum peer.raw >peer.raw.sha256`, b.dir)
			},
		},
		{
			name: "squashfs, zstd", peer: "mksquashfs at the level of the same size", must: "1.2",
			ours: func() error { return b.build("x.squashfs", "--for", "bootable") },
			theirs: func() error {
				return sh("mksquashfs tree peer.squashfs -noappend -quiet -no-progress -comp zstd -Xcompression-level 3 && sha256sum peer.squashfs >peer.sum", b.dir)
			},
			size: [2]string{"x.squashfs", "peer.squashfs"},
		},
		{
			name: "cpio, zstd", peer: "find, cpio, zstd -T0", must: "0.7",
			ours: func() error { return b.build("x.cpio.zst", "--for", "bootable") },
			theirs: func() error {
				return sh("(cd tree && find . | cpio --quiet -o -H newc) | zstd -q -T0 -f -o peer.cpio.zst && sha256sum peer.cpio.zst >peer.sum", b.dir)
			},
			size: [2]string{"x.cpio.zst", "peer.cpio.zst"},
		},
		{
			name: "initramfs", peer: "update-initramfs", must: "0.10",
			ours: func() error { return b.initramfs(b.path("tree"), b.version, "disk", b.path("x.initrd")) },
			theirs: func() error {
				return sh("mount --bind /proc tree/proc && trap 'umount tree/proc' EXIT && chroot tree mkinitramfs -o /tmp/initrd "+b.version+" && cp tree/tmp/initrd peer.initrd && rm tree/tmp/initrd", b.dir)
			},
			size: [2]string{"x.initrd", "peer.initrd"},
		},
	}
}

func decompress(ending string, r io.Reader) (io.Reader, error) {
	if ending == ".zst" {
		return zstd.NewReader(r)
	}
	return xz.NewReader(r)
}

func (b *bench) measure(r row) (string, error) {
	var ours, theirs []time.Duration
	for range cmp.Or(r.rounds, b.runs) {
		for _, side := range []struct {
			do   func() error
			list *[]time.Duration
		}{{r.ours, &ours}, {r.theirs, &theirs}} {
			if side.do == nil {
				continue
			}
			begin := time.Now()
			if err := side.do(); err != nil {
				return "", err
			}
			*side.list = append(*side.list, time.Since(begin))
		}
	}
	ratio, peer := "", ""
	if theirs != nil {
		ratio = fmt.Sprintf("%.2f", median(ours).Seconds()/median(theirs).Seconds())
		peer = spread(theirs)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |\n", r.name, r.peer, spread(ours), peer, ratio, r.must, b.sizes(r)), nil
}

func (b *bench) sizes(r row) string {
	var out []string
	for _, name := range r.size {
		if st, err := os.Stat(b.path(name)); err == nil && name != "" {
			out = append(out, fmt.Sprintf("%.1f", float64(st.Size())/1e6))
		}
	}
	return strings.Join(out, " / ")
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

func spread(d []time.Duration) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(d).Seconds(), slices.Min(d).Seconds(), slices.Max(d).Seconds())
}
