package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"slipway/internal/bootfiles/blockid"
	"slipway/internal/bootfiles/ptable"

	"golang.org/x/sys/unix"
)

// deviceTimeout is how long a root device may take to appear: USB disks and
// the firmware of real computers are slow. slipway.timeout=SECONDS changes it.
const deviceTimeout = 60 * time.Second

// awaitDevice waits for the block device that spec names, loading drivers for
// what appears meanwhile.
func (b *booter) awaitDevice(spec string) (string, error) {
	key, value, err := splitSpec(spec)
	if err != nil {
		return "", err
	}
	timeout := deviceTimeout
	if text, ok := b.line.Get("slipway.timeout"); ok {
		if n, err := strconv.Atoi(text); err == nil && n > 0 {
			timeout = time.Duration(n) * time.Second
		}
	}
	seen := blockCache{}
	for until := time.Now().Add(timeout); ; {
		if device := seen.find(key, value); device != "" {
			return device, nil
		}
		if !time.Now().Before(until) {
			return "", fmt.Errorf("the root %s did not appear within %s; there are: %s", spec, timeout, seen.list())
		}
		for _, alias := range b.news.wait(50 * time.Millisecond) {
			b.mods.device(alias)
		}
	}
}

// splitSpec takes root= apart. The links that udev would make are understood.
func splitSpec(spec string) (key, value string, err error) {
	for prefix, key := range map[string]string{
		"/dev/disk/by-uuid/": "UUID", "/dev/disk/by-label/": "LABEL",
		"/dev/disk/by-partuuid/": "PARTUUID", "/dev/disk/by-partlabel/": "PARTLABEL",
	} {
		if rest, ok := strings.CutPrefix(spec, prefix); ok {
			return key, rest, nil
		}
	}
	if name, ok := strings.CutPrefix(spec, "/dev/"); ok {
		return "DEV", name, nil
	}
	key, value, ok := strings.Cut(spec, "=")
	switch {
	case ok && (key == "UUID" || key == "LABEL" || key == "PARTUUID" || key == "PARTLABEL"):
		return key, value, nil
	}
	return "", "", fmt.Errorf("root=%s is not understood (UUID=, LABEL=, PARTUUID=, PARTLABEL=, /dev/..., virtiofs:TAG, 9p:TAG or ram)", spec)
}

// blockDevice is what is known of one device.
type blockDevice struct {
	name       string // below /dev
	size       int64
	parent     string // of a partition
	number     int
	info       blockid.Info
	part       ptable.Part
	isPart     bool
	unreadable error
}

// blockCache keeps what was read of each device, by name and size: reading
// starts once, however often the list is walked.
type blockCache map[string]*blockDevice

func (c blockCache) find(key, value string) string {
	dirs, _ := filepath.Glob("/sys/class/block/*")
	for _, dir := range dirs {
		d := c.look(dir)
		if d != nil && d.matches(key, value) {
			return "/dev/" + d.name
		}
	}
	return ""
}

func (d *blockDevice) matches(key, value string) bool {
	switch key {
	case "DEV":
		return strings.ReplaceAll(d.name, "!", "/") == value
	case "PARTUUID":
		return d.isPart && strings.EqualFold(d.part.UUID, value)
	case "PARTLABEL":
		return d.isPart && d.part.Name == value
	}
	return d.info.Matches(key, value)
}

func (c blockCache) look(dir string) *blockDevice {
	name := filepath.Base(dir)
	size := readNumber(dir+"/size") * 512
	if size == 0 || strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram") {
		return nil
	}
	if d := c[name]; d != nil && d.size == size {
		return d
	}
	d := &blockDevice{name: name, size: size}
	path := "/dev/" + strings.ReplaceAll(name, "!", "/")
	d.info, d.unreadable = probeDevice(path)
	if errors.Is(d.unreadable, os.ErrNotExist) {
		return nil // devtmpfs is a little late: look again
	}
	if n := readNumber(dir + "/partition"); n > 0 {
		d.isPart, d.number = true, int(n)
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			d.parent = filepath.Base(filepath.Dir(real))
			d.part, _ = partition(d.parent, d.number)
		}
	}
	c[name] = d
	return d
}

// partition reads the entry of a disk's table for one partition.
func partition(disk string, number int) (ptable.Part, error) {
	f, err := os.Open("/dev/" + disk)
	if err != nil {
		return ptable.Part{}, err
	}
	defer f.Close()
	t, err := ptable.Read(f, readNumber("/sys/class/block/"+disk+"/size")*512, sectorSize(disk))
	if err != nil {
		return ptable.Part{}, err
	}
	p, ok := t.Part(number)
	if !ok {
		return p, fmt.Errorf("%s has no partition %d", disk, number)
	}
	return p, nil
}

func sectorSize(disk string) int64 {
	if n := readNumber("/sys/class/block/" + disk + "/queue/logical_block_size"); n > 0 {
		return n
	}
	return 512
}

func (c blockCache) list() string {
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	sort.Strings(names)
	for i, name := range names {
		names[i] = c[name].describe()
	}
	if len(names) == 0 {
		return "no block devices at all (is a driver missing?)"
	}
	return strings.Join(names, "; ")
}

func (d *blockDevice) describe() string {
	s := fmt.Sprintf("/dev/%s (%d MiB", d.name, d.size>>20)
	for _, f := range []struct{ key, value string }{
		{"", d.info.Type}, {"UUID=", d.info.UUID}, {"LABEL=", d.info.Label}, {"PARTUUID=", d.part.UUID}, {"PARTLABEL=", d.part.Name},
	} {
		if f.value != "" {
			s += ", " + f.key + f.value
		}
	}
	if d.unreadable != nil {
		s += ", " + d.unreadable.Error()
	}
	return s + ")"
}

func probeDevice(path string) (blockid.Info, error) {
	f, err := os.Open(path)
	if err != nil {
		if errors.Is(err, unix.ENOMEDIUM) {
			return blockid.Info{}, errors.New("no medium")
		}
		return blockid.Info{}, err
	}
	defer f.Close()
	return blockid.Probe(f)
}

// readNumber reads a number of sysfs; 0 if there is none.
func readNumber(path string) int64 {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, _ := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	return n
}
