package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"slipway/internal/build"
	"slipway/internal/image"
	"slipway/internal/image/formats"
	"slipway/internal/plan"
	"slipway/internal/target/metal"
)

// writeFlags are the flags of write.
type writeFlags struct {
	buildFlags
	erase     string
	keepTable bool
	noEntry   bool
}

func newWrite(env *Env) *cobra.Command {
	var flags writeFlags
	cmd := &cobra.Command{
		Use:   "write FILE DEVICE",
		Short: "Put a machine on a disk, safely",
		Long: `Write a machine to a disk and read it back. FILE is a definition, whose file
systems are made at the disk's size, or a disk image (.raw, .qcow2), which grows
at its first boot. DEVICE is a path (/dev/sda, /dev/disk/by-id/..., /dev/disk/by-path/...),
serial:NUMBER, or a file that stands for a disk. A machine with a bare file
system (disk: {table: none}) also goes into a partition or a logical volume.

A disk that is mounted, swap, part of something else, too small or not the only
one of its serial number is refused. What is on it is shown, and erased after a
yes, or with --yes-erase and the disk's serial number (its path, if it has none).
A write that was interrupted is reported at the next attempt. Where UEFI runs, the
firmware gets a boot entry, which it tries first.`,
		Example: `  slipway write web.yaml serial:S5GXNG0N
  slipway write web.raw /dev/disk/by-id/usb-Stick_42 --yes-erase 42
  slipway write guest.yaml /dev/hostvg/guest
  slipway write web.yaml /dev/sda --keep-table`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.writeDisk(cmd.Context(), args[0], args[1], flags)
		},
	}
	cmd.Flags().StringVar(&flags.erase, "yes-erase", "", "erase the disk with this `SERIAL` number without asking")
	cmd.Flags().BoolVar(&flags.keepTable, "keep-table", false, "reuse the partitions that the disk has, by their names; others stay as they are")
	cmd.Flags().BoolVar(&flags.noEntry, "no-boot-entry", false, "leave the firmware's boot menu alone")
	flags.add(cmd)
	return streaming(env, cmd)
}

func (e *Env) writeDisk(ctx context.Context, file, word string, flags writeFlags) error {
	disk, err := metal.Finder{}.Find(word)
	if err != nil {
		return err
	}
	if err := disk.Idle(); err != nil {
		return err
	}
	if err := e.suits(disk, file); err != nil {
		return err
	}
	contents, err := disk.Contents()
	if err != nil {
		return err
	}
	if err := e.agree(disk, contents, flags); err != nil {
		return err
	}
	name, err := e.putOn(ctx, disk, file, flags)
	if err != nil {
		if ctx.Err() != nil && disk.Unfinished() != "" {
			e.reporter().Note(disk.Path + " was left half written, and is marked so: write it again")
		}
		return err
	}
	for _, twin := range (metal.Finder{}).Twins(disk) {
		e.reporter().Note(fmt.Sprintf("%s has partitions of the same identity: take one of the two disks away before the machine starts", twin.Path))
	}
	entry := ""
	if !flags.noEntry {
		if entry, err = e.bootEntry(disk, name); err != nil {
			return fmt.Errorf("%s is written and holds what it should, but: %w", disk.Path, err)
		}
	}
	if e.opt.json {
		return json.NewEncoder(e.Stdout).Encode(map[string]any{"event": "written", "disk": disk, "machine": name, "boot_entry": entry})
	}
	_, err = fmt.Fprintf(e.Stdout, "%s holds %s, read back and compared\n", disk.Path, name)
	return err
}

// suits refuses a definition whose disk is not like this one, before it is
// built and before anybody is asked.
func (e *Env) suits(disk *metal.Device, file string) error {
	if formats.Suffix(file) != "" {
		return nil
	}
	d, err := e.load(file)
	if err != nil {
		return err
	}
	if err := disk.SuitsLayout(d.Layout()); err != nil {
		return fmt.Errorf("%s: %w", d.At("disk"), err)
	}
	return nil
}

// agree shows what is on the disk and asks, unless the right serial number was
// given already.
func (e *Env) agree(disk *metal.Device, contents *metal.Contents, flags writeFlags) error {
	id := disk.ID()
	if flags.erase != "" && !disk.Is(flags.erase) {
		return fmt.Errorf("--yes-erase names %s, and the disk %s is %s: nothing was written", flags.erase, disk.Path, id)
	}
	lost := "what is on it will be lost"
	if flags.keepTable {
		lost = "the partitions that the definition names will be written anew"
	}
	fmt.Fprintf(e.Stderr, "%s; %s:\n", disk, lost)
	for _, line := range contents.Lines() {
		fmt.Fprintf(e.Stderr, "  %s\n", line)
	}
	if flags.erase != "" {
		return nil
	}
	in, ok := e.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usageError("nobody is here to be asked; to erase %s, add: --yes-erase %s", disk.Path, id)
	}
	fmt.Fprintf(e.Stderr, "To erase it, type %s: ", id)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && err != io.EOF {
		return err
	}
	if !disk.Is(strings.TrimSpace(answer)) {
		return fmt.Errorf("that is not %s: nothing was written", id)
	}
	return nil
}

// putOn writes a definition or an image, and tells the machine's name.
func (e *Env) putOn(ctx context.Context, disk *metal.Device, file string, flags writeFlags) (string, error) {
	if formats.Suffix(file) != "" {
		if flags.keepTable {
			return "", usageError("--keep-table needs a definition: an image brings its own table")
		}
		return e.putImage(ctx, disk, file)
	}
	b, result, err := e.build(ctx, file, flags.buildFlags, plan.Bootable)
	if err != nil {
		return "", err
	}
	name := result.Prepared.Definition.Name
	opt, end := e.diskProgress(name)
	if flags.keepTable {
		err = disk.Keep(ctx, b, result, opt)
		end(err)
		return name, err
	}
	// An empty file becomes as large as the definition says, with its sectors.
	options := build.DiskOptions{Size: disk.Size - disk.Size%int64(disk.Sector), Sector: disk.Sector}
	if disk.File {
		options.Sector = 0
	}
	laid, err := b.Disk(ctx, result, options)
	if err == nil {
		err = disk.Write(ctx, laid, opt)
	}
	end(err)
	return name, err
}

func (e *Env) putImage(ctx context.Context, disk *metal.Device, file string) (string, error) {
	name := filepath.Base(file)
	if suffix := formats.Suffix(file); suffix != ".raw" && suffix != ".qcow2" && suffix != ".ext4" && suffix != ".squashfs" && suffix != ".erofs" {
		return "", fmt.Errorf("%s is no disk image; build one: slipway build DEFINITION -o %s.raw", file, strings.TrimSuffix(name, suffix))
	}
	if err := e.verifyImage(disk, file, name); err != nil {
		return "", err
	}
	var v image.Volume
	var err error
	if strings.HasSuffix(file, ".qcow2") {
		var b *build.Builder
		if b, err = e.builder(); err != nil {
			return "", err
		}
		v, err = metal.QCOW2File(ctx, file, filepath.Join(b.Store.Dir(), "tmp"), disk.Size)
	} else {
		v, err = metal.ImageFile(file, disk.Size)
	}
	if err != nil {
		return "", err
	}
	if err := disk.Suits(v, name); err != nil {
		return "", err
	}
	opt, end := e.diskProgress(name)
	err = disk.Write(ctx, v, opt)
	end(err)
	return name, err
}

// verifyImage compares an image with its checksum, after a first look at
// whether it fits at all: a large one takes its time.
func (e *Env) verifyImage(disk *metal.Device, file, name string) error {
	if st, err := os.Stat(file); err == nil && !strings.HasSuffix(file, ".qcow2") {
		if err := disk.Fits(st.Size(), name); err != nil {
			return err
		}
	}
	step := e.reporter().Step("check " + name)
	err := formats.Verify(file)
	step.Done(err)
	return err
}

// diskProgress shows how far writing and reading back are.
func (e *Env) diskProgress(what string) (metal.WriteOptions, func(error)) {
	step := e.reporter().Step("write the disk")
	stage, last := "write", int64(0)
	opt := metal.WriteOptions{What: what, Now: time.Now(), Progress: func(now string, done, total int64) {
		if now != stage {
			step.Done(nil)
			stage, step, last = now, e.reporter().Step("read it back"), 0
		}
		step.Total(total)
		step.Add(done - last)
		last = done
	}}
	return opt, func(err error) { step.Done(err) }
}

// bootEntry makes the firmware start the disk first.
func (e *Env) bootEntry(disk *metal.Device, label string) (string, error) {
	if disk.File {
		return "", nil
	}
	entry, ok, err := disk.BootEntry(strings.TrimSuffix(label, formats.Suffix(label)))
	if err != nil || !ok {
		return "", err
	}
	if err := metal.NeedVars(filepath.Dir(metal.EFIVars)); err != nil {
		return "", err
	}
	if !metal.HasEFI(metal.EFIVars) {
		e.reporter().Note("UEFI did not start this system, so its boot menu has no entry for the disk: firmware finds the disk's own loader, EFI/BOOT")
		return "", nil
	}
	number, err := metal.SetBootEntry(metal.EFIVars, entry)
	if err != nil {
		return "", err
	}
	e.reporter().Note(fmt.Sprintf("the firmware starts it first: Boot%04X, %s", number, entry.Path))
	return fmt.Sprintf("Boot%04X", number), nil
}
