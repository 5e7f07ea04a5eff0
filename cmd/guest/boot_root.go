package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// mountRoot mounts what root= names on newRoot.
//
//	UUID=, LABEL=, PARTUUID=, PARTLABEL=, /dev/...   a block device
//	virtiofs:TAG, 9p:TAG                             a folder of the host
//	ram                                              the initramfs itself
//
// slipway.root=/FILE names an image in the initramfs instead.
func (b *booter) mountRoot() error {
	spec := b.rootSpec()
	if err := os.MkdirAll(newRoot, 0o755); err != nil {
		return err
	}
	m := b.wishes()
	if m.overlay && spec != "ram" {
		return b.mountOverlaid(spec, m)
	}
	return b.mountSpec(spec, newRoot, m)
}

// rootSpec is what the root is: as the command line says, else the image.
func (b *booter) rootSpec() string {
	if file, ok := b.line.Get("slipway.root"); ok {
		return "image:" + file
	}
	if spec, _ := b.line.Get("root"); spec != "" {
		return spec
	}
	return b.cfg.Root
}

// rootMount is how the root is to be mounted.
type rootMount struct {
	kind     string // rootfstype=
	readOnly bool
	options  string // rootflags=
	overlay  bool
	size     string // of the overlay's tmpfs
}

func (b *booter) wishes() rootMount {
	m := rootMount{readOnly: b.line.Last("ro", "rw") == "ro"}
	m.kind, _ = b.line.Get("rootfstype")
	m.options, _ = b.line.Get("rootflags")
	over, _ := b.line.Get("slipway.overlay")
	for _, word := range fields(over) {
		if word == "tmpfs" {
			m.overlay = true
		}
		if size, ok := strings.CutPrefix(word, "size="); ok {
			m.size = size
		}
	}
	return m
}

func (b *booter) mountSpec(spec, target string, m rootMount) error {
	kind, rest, _ := strings.Cut(spec, ":")
	switch {
	case spec == "":
		return errors.New("the command line names no root (root=UUID=..., root=/dev/..., root=virtiofs:TAG, root=9p:TAG or root=ram)")
	case spec == "ram":
		b.inRAM = true
		// A bind, because programs cannot pivot_root away from the first root.
		return mountAt("/", target, "", unix.MS_BIND, "")
	case kind == "virtiofs" || kind == "9p":
		return b.mountShared(kind, rest, target, m)
	case kind == "image":
		device, err := b.attachLoop(rest)
		if err != nil {
			return err
		}
		return b.mountDevice(device, target, m)
	}
	device, err := b.awaitDevice(spec)
	if err != nil {
		return err
	}
	b.growPartition(device)
	if err := b.mountDevice(device, target, m); err != nil {
		return err
	}
	b.growFilesystem(device, target, m.readOnly)
	return nil
}

// mountDevice mounts a block device; what is on it is found out if nobody said.
func (b *booter) mountDevice(device, target string, m rootMount) error {
	if m.kind == "" {
		info, err := probeDevice(device)
		if err != nil {
			return err
		}
		if info.Type == "" {
			return fmt.Errorf("%s holds no file system that is known here; name it with rootfstype=", device)
		}
		m.kind = info.Type
	}
	if err := b.mods.load("fs-" + m.kind); err != nil {
		return err
	}
	flags, data := splitOptions(m.options)
	switch m.kind {
	case "squashfs", "erofs", "iso9660":
		m.readOnly = true
	}
	if m.readOnly {
		flags |= unix.MS_RDONLY
	}
	err := mountAt(device, target, m.kind, flags, data)
	if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) { // a write-protected disk
		err = mountAt(device, target, m.kind, flags|unix.MS_RDONLY, data)
	}
	return err
}

// mountShared mounts a folder of the host.
func (b *booter) mountShared(kind, tag, target string, m rootMount) error {
	flags, data := splitOptions(m.options)
	if m.readOnly {
		flags |= unix.MS_RDONLY
	}
	return b.mountTag(kind, tag, target, flags, data)
}

func (b *booter) mountTag(kind, tag, target string, flags uintptr, data string) error {
	for _, name := range map[string][]string{"virtiofs": {"virtiofs"}, "9p": {"9pnet_virtio", "9p"}}[kind] {
		if err := b.mods.load(name); err != nil {
			return err
		}
	}
	if kind == "9p" {
		// Large messages: every one is a journey through the hypervisor.
		data = strings.Trim("trans=virtio,version=9p2000.L,msize=512000,cache=loose,"+data, ",")
	}
	var err error
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		err = mountAt(tag, target, kind, flags, data)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EINVAL) { // no device with that tag, yet
			return err
		}
	}
	return fmt.Errorf("%w (no %s device with the tag %q; there are: %s)", err, kind, tag, sharedTags())
}

func sharedTags() string {
	var tags []string
	for _, pattern := range []string{"/sys/fs/virtiofs/*/tag", "/sys/bus/virtio/drivers/9pnet_virtio/virtio*/mount_tag"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if data, err := os.ReadFile(file); err == nil {
				tags = append(tags, strings.Trim(string(data), "\x00\n"))
			}
		}
	}
	if len(tags) == 0 {
		return "none"
	}
	return strings.Join(tags, ", ")
}

// mountOverlaid puts a writable layer in memory over the root.
func (b *booter) mountOverlaid(spec string, m rootMount) error {
	const lower, layer = "/slipway/lower", "/slipway/layer"
	m.readOnly = true
	for _, dir := range []string{lower, layer} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := b.mountSpec(spec, lower, m); err != nil {
		return err
	}
	data := "mode=0755"
	if m.size != "" {
		data += ",size=" + m.size
	}
	if err := mountAt("tmpfs", layer, "tmpfs", unix.MS_NODEV, data); err != nil {
		return err
	}
	for _, dir := range []string{layer + "/upper", layer + "/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := b.mods.load("overlay"); err != nil {
		return err
	}
	return mountAt("overlay", newRoot, "overlay", 0, "lowerdir="+lower+",upperdir="+layer+"/upper,workdir="+layer+"/work")
}

func mountAt(source, target, kind string, flags uintptr, data string) error {
	if err := unix.Mount(source, target, kind, flags, data); err != nil {
		return fmt.Errorf("mounting %s (%s) as root: %w", source, kind, err)
	}
	return nil
}

// optionFlags are the mount options that are flags of mount(2).
var optionFlags = map[string]uintptr{
	"ro": unix.MS_RDONLY, "rw": 0, "defaults": 0, "nosuid": unix.MS_NOSUID, "nodev": unix.MS_NODEV, "noexec": unix.MS_NOEXEC,
	"sync": unix.MS_SYNCHRONOUS, "dirsync": unix.MS_DIRSYNC, "noatime": unix.MS_NOATIME, "nodiratime": unix.MS_NODIRATIME,
	"relatime": unix.MS_RELATIME, "strictatime": unix.MS_STRICTATIME, "lazytime": unix.MS_LAZYTIME,
}

// splitOptions separates flags from what the file system reads itself.
func splitOptions(options string) (flags uintptr, data string) {
	var rest []string
	for _, o := range fields(options) {
		if f, ok := optionFlags[o]; ok {
			flags |= f
		} else {
			rest = append(rest, o)
		}
	}
	return flags, strings.Join(rest, ",")
}
