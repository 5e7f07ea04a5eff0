package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unsafe"

	"slipway/internal/bootfiles/blockid"
	"slipway/internal/bootfiles/ptable"
	"slipway/internal/guest/wire"

	"golang.org/x/sys/unix"
)

// leastGain is what growing must bring, in bytes. Less is what alignment
// leaves at the end of an image that fits its disk.
const leastGain = 8 << 20

// growPartition extends the root's partition to the end of its disk, when the
// image says so and the disk is larger than the image was. A failure is told
// and does not keep the machine from starting.
func (b *booter) growPartition(device string) {
	dir := "/sys/class/block/" + filepath.Base(device)
	number := int(readNumber(dir + "/partition"))
	if !b.cfg.Grow || number == 0 {
		return
	}
	real, err := filepath.EvalSymlinks(dir)
	if err == nil {
		err = extendPartition(filepath.Base(filepath.Dir(real)), number)
	}
	if err != nil && !errors.Is(err, ptable.ErrFull) {
		b.warn("the root's partition %s stays as it is: %v", device, err)
	}
}

func extendPartition(disk string, number int) error {
	size, sector := readNumber("/sys/class/block/"+disk+"/size")*512, sectorSize(disk)
	f, err := os.OpenFile("/dev/"+disk, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := ptable.Read(f, size, sector)
	if err != nil {
		return err
	}
	if p, ok := t.Part(number); ok && size-(p.Start+p.Size) < leastGain {
		return ptable.ErrFull
	}
	p, err := t.Grow(f, size, number)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return resizePartition(f, p)
}

// resizePartition tells the kernel, which does not read the table of a disk in
// use again: BLKPG, include/uapi/linux/blkpg.h.
func resizePartition(disk *os.File, p ptable.Part) error {
	const op = 3 // BLKPG_RESIZE_PARTITION
	part := struct {
		start, length int64
		number        int32
		names         [128]byte
	}{start: p.Start, length: p.Size, number: int32(p.Number)}
	arg := struct {
		op, flags, size int32
		data            unsafe.Pointer
	}{op: op, size: int32(unsafe.Sizeof(part)), data: unsafe.Pointer(&part)}
	err := ioctl(disk, unix.BLKPG, unsafe.Pointer(&arg))
	runtime.KeepAlive(&part)
	if err != nil {
		return fmt.Errorf("telling the kernel about the larger partition %d: %w", p.Number, err)
	}
	return nil
}

// growFilesystem lets the mounted root use all of its device.
func (b *booter) growFilesystem(device, target string, readOnly bool) {
	if !b.cfg.Grow {
		return
	}
	info, err := probeDevice(device)
	size := readNumber("/sys/class/block/"+filepath.Base(device)+"/size") * 512
	if err != nil || info.Size == 0 || size-info.Size < leastGain {
		return
	}
	if readOnly && unix.Mount("", target, "", unix.MS_REMOUNT, "") == nil {
		defer unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	if err := resizeFilesystem(device, target, info, size); err != nil {
		b.warn("the root's file system on %s stays as it is: %v", device, err)
		return
	}
	say("the root grew from %d to %d MiB", info.Size>>20, size>>20)
}

// Requests of file systems: fs/ext4/ext4.h, fs/xfs/libxfs/xfs_fs.h and
// include/uapi/linux/btrfs.h.
const (
	ext4Resize  = 0x40086610
	xfsGrowData = 0x4010586e
	btrfsResize = 0x50009403
)

func resizeFilesystem(device, target string, info blockid.Info, size int64) error {
	f, err := os.Open(target)
	if err != nil {
		return err
	}
	defer f.Close()
	switch info.Type {
	case "ext4":
		blocks := uint64(size / info.Block)
		err = ioctl(f, ext4Resize, unsafe.Pointer(&blocks))
	case "xfs":
		arg := struct {
			blocks    uint64
			maxInodes uint32
		}{uint64(size / info.Block), info.MaxInodes}
		err = ioctl(f, xfsGrowData, unsafe.Pointer(&arg))
	case "btrfs":
		var arg struct {
			fd   int64
			name [4088]byte
		}
		copy(arg.name[:], "max")
		err = ioctl(f, btrfsResize, unsafe.Pointer(&arg))
	}
	if err != nil {
		return fmt.Errorf("growing %s: %w", info.Type, err)
	}
	return nil
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// warn tells what went wrong without keeping the machine from starting.
func (b *booter) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	say("%s", text)
	b.emit(wire.Event{Kind: "warning", Text: strings.TrimSpace(text)})
}
