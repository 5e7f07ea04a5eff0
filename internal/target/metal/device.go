package metal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Device is a disk, or a file that stands for one.
type Device struct {
	Path       string `json:"path"` // the node or file itself, links resolved
	Size       int64  `json:"size"` // bytes
	Sector     int    `json:"sector"`
	Model      string `json:"model,omitempty"`
	Serial     string `json:"serial,omitempty"`
	Removable  bool   `json:"removable,omitempty"`
	Rotational bool   `json:"rotational,omitempty"`
	ReadOnly   bool   `json:"read_only,omitempty"`
	File       bool   `json:"file,omitempty"`      // a regular file
	Partition  bool   `json:"partition,omitempty"` // part of a disk
	Given      string `json:"given,omitempty"`     // the name it was found by, where that is another one

	base   int64  // offset of a part of the disk, see Part
	kernel string // name below /sys/class/block; "" for a file
	sys    string // folder of the host's /sys; tests have their own
}

// Finder looks for disks. The zero value looks at this host.
type Finder struct {
	Sys, Dev string // defaults /sys and /dev
}

func (f Finder) sys() string {
	if f.Sys == "" {
		return "/sys"
	}
	return f.Sys
}

func (f Finder) dev() string {
	if f.Dev == "" {
		return "/dev"
	}
	return f.Dev
}

// Find finds the one disk that a word names: a path (also below
// /dev/disk/by-id and by-path), or "serial:" and a serial number. A word that
// fits no disk or several is an error that lists the disks.
func (f Finder) Find(word string) (*Device, error) {
	if serial, ok := strings.CutPrefix(word, "serial:"); ok {
		return f.bySerial(serial)
	}
	path, err := filepath.EvalSymlinks(word)
	if errors.Is(err, os.ErrNotExist) {
		return nil, f.missing(word)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the disk %s: %w", word, err)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("finding the disk %s: %w", word, err)
	}
	switch {
	case st.Mode().IsRegular():
		return &Device{Path: path, Size: st.Size(), Sector: 512, File: true, ReadOnly: unix.Access(path, unix.W_OK) != nil}, nil
	case st.Mode()&os.ModeDevice != 0 && st.Mode()&os.ModeCharDevice == 0:
		d, err := f.block(path)
		if err == nil && filepath.Clean(word) != path {
			d.Given = word
		}
		return d, err
	}
	return nil, fmt.Errorf("%s is neither a disk nor a file%s", word, f.hint())
}

// missing says what could have been meant by a path where nothing is.
func (f Finder) missing(word string) error {
	if strings.HasPrefix(word, f.dev()+"/") {
		return fmt.Errorf("%s does not exist%s", word, f.hint())
	}
	return fmt.Errorf("%s does not exist; to write to a file, make it first: truncate -s 4G %s%s", word, word, f.hint())
}

// ID is what has to be said to erase the disk: its serial number or, without
// one, its path.
func (d *Device) ID() string {
	if d.Serial != "" {
		return d.Serial
	}
	return d.Path
}

// Is tells whether a word is the disk's ID. A disk without a serial number may
// also be named as it was found.
func (d *Device) Is(word string) bool {
	return word != "" && (word == d.ID() || d.Serial == "" && word == d.Given)
}

func (f Finder) bySerial(serial string) (*Device, error) {
	if serial == "" {
		return nil, fmt.Errorf("serial: names no serial number%s", f.hint())
	}
	all, err := f.Disks()
	if err != nil {
		return nil, err
	}
	var found []*Device
	for _, d := range all {
		if d.Serial == serial {
			found = append(found, d)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("no disk has the serial number %s%s", serial, f.hint())
	case 1:
		return found[0], nil
	}
	var paths []string
	for _, d := range found {
		paths = append(paths, d.Path)
	}
	return nil, fmt.Errorf("the serial number %s is that of %s: name one of them by its path", serial, strings.Join(paths, " and "))
}

// Disks lists the whole disks of the host; empty ones (a card reader without a
// card), RAM disks and the like are left out.
func (f Finder) Disks() ([]*Device, error) {
	names, err := os.ReadDir(filepath.Join(f.sys(), "block"))
	if err != nil {
		return nil, fmt.Errorf("listing disks: %w", err)
	}
	var out []*Device
	for _, n := range names {
		if name := n.Name(); strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram") || strings.HasPrefix(name, "fd") {
			continue
		}
		if d := f.describe(n.Name()); d.Size > 0 {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *Device) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

// hint lists the disks that could have been meant.
func (f Finder) hint() string {
	all, err := f.Disks()
	var words []string
	for _, d := range all {
		if !strings.HasPrefix(d.kernel, "loop") {
			words = append(words, d.String())
		}
	}
	if err != nil || len(words) == 0 {
		return ""
	}
	return "; the disks here: " + strings.Join(words, "; ")
}

// String is a disk in one line: path, size, model, serial.
func (d *Device) String() string {
	words := []string{d.Path, humanSize(d.Size)}
	if d.Given != "" {
		words[0] += " (" + d.Given + ")"
	}
	if d.Partition {
		words = append(words, "a partition")
	}
	if d.Removable {
		words = append(words, "removable")
	}
	if d.ReadOnly {
		words = append(words, "read-only")
	}
	if d.Model != "" {
		words = append(words, d.Model)
	}
	if d.Serial != "" {
		words = append(words, "serial "+d.Serial)
	}
	return strings.Join(words, ", ")
}

func humanSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	f := float64(n)
	for _, u := range units {
		if f < 1024 || u == "PiB" {
			if f == float64(int64(f)) {
				return fmt.Sprintf("%d %s", int64(f), u)
			}
			return fmt.Sprintf("%.1f %s", f, u)
		}
		f /= 1024
	}
	return ""
}

// block describes the block device behind a node.
func (f Finder) block(path string) (*Device, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, fmt.Errorf("looking at %s: %w", path, err)
	}
	number := fmt.Sprintf("%d:%d", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	link, err := os.Readlink(filepath.Join(f.sys(), "dev/block", number))
	if err != nil {
		return nil, fmt.Errorf("%s: the kernel has no such block device (%s)", path, number)
	}
	d := f.describe(filepath.Base(link))
	d.Path = path
	if d.Size == 0 {
		return nil, fmt.Errorf("%s has no size: there is no medium in it", path)
	}
	return d, nil
}

// describe reads what the kernel says of a block device.
func (f Finder) describe(kernel string) *Device {
	d := &Device{kernel: kernel, sys: f.sys(), Sector: 512}
	d.Path = filepath.Join(f.dev(), strings.ReplaceAll(kernel, "!", "/"))
	blocks, _ := strconv.ParseInt(d.attribute("size"), 10, 64)
	d.Size = blocks * 512
	if n, err := strconv.Atoi(d.attribute("queue/logical_block_size")); err == nil && n > 0 {
		d.Sector = n
	}
	d.Model = strings.Join(strings.Fields(d.attribute("device/model")), " ")
	if name := d.attribute("dm/name"); name != "" {
		kind, _, _ := strings.Cut(d.attribute("dm/uuid"), "-")
		d.Model = strings.TrimSpace(strings.TrimPrefix(kind+" volume "+name, " "))
	}
	d.Serial = d.serial()
	d.Removable = d.attribute("removable") == "1"
	d.Rotational = d.attribute("queue/rotational") == "1"
	d.ReadOnly = d.attribute("ro") == "1"
	d.Partition = d.attribute("partition") != ""
	if d.Partition {
		d.ofWhole()
	}
	return d
}

// ofWhole takes from the disk what the kernel says of whole disks only: the
// folder of a partition lies in that of its disk.
func (d *Device) ofWhole() {
	dir, err := filepath.EvalSymlinks(filepath.Join(d.sys, "class/block", d.kernel))
	if err != nil {
		return
	}
	read := func(name string) string {
		b, _ := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		return strings.TrimSpace(string(b))
	}
	if n, err := strconv.Atoi(read("queue/logical_block_size")); err == nil && n > 0 {
		d.Sector = n
	}
	d.Removable = read("removable") == "1"
	d.Rotational = read("queue/rotational") == "1"
	d.ReadOnly = d.ReadOnly || read("ro") == "1"
}

// serial is where drivers keep it: virtio and NVMe in a file of their own,
// SCSI and ATA in the page of vital product data that holds it.
func (d *Device) serial() string {
	for _, name := range []string{"serial", "device/serial"} {
		if s := strings.TrimSpace(d.attribute(name)); s != "" {
			return s
		}
	}
	page, _ := os.ReadFile(filepath.Join(d.sys, "class/block", d.kernel, "device/vpd_pg80"))
	if len(page) > 4 {
		return strings.TrimSpace(string(page[4:]))
	}
	return ""
}

func (d *Device) attribute(name string) string {
	b, _ := os.ReadFile(filepath.Join(d.sys, "class/block", d.kernel, name))
	return strings.TrimSpace(strings.Trim(string(b), "\x00"))
}

// Part is a stretch of the disk, to be written by itself.
func (d *Device) Part(offset, size int64) *Device {
	p := *d
	p.base, p.Size = d.base+offset, size
	return &p
}
