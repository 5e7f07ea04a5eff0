package metal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"golang.org/x/sys/unix"
)

// EFIVars is where Linux shows the firmware's variables.
const EFIVars = "/sys/firmware/efi/efivars"

// globalVariable is the vendor of the boot manager's variables (UEFI 2.10, section 3.3).
const globalVariable = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"

// nonVolatile, boot service and runtime access: what boot variables have.
const variableAttributes = 7

// BootEntry is an entry of the firmware's boot menu: a program on a GPT partition.
type BootEntry struct {
	Label     string
	Partition uint32   // number, from 1
	Start     uint64   // first sector
	Sectors   uint64   // of the partition
	GUID      [16]byte // of the partition, as written
	Path      string   // \EFI\BOOT\BOOTX64.EFI
}

// HasEFI tells whether the running system was started by UEFI.
func HasEFI(vars string) bool {
	_, err := os.Stat(filepath.Join(vars, "BootOrder"+globalVariable))
	if err == nil {
		return true
	}
	names, _ := os.ReadDir(vars)
	return len(names) > 0
}

// NeedVars refuses a system that UEFI started and that does not show the
// firmware's variables: the boot entry would be left out in silence. firmware
// is the folder in which Linux describes UEFI, there only if that runs.
func NeedVars(firmware string) error {
	vars := filepath.Join(firmware, filepath.Base(EFIVars))
	if _, err := os.Stat(firmware); err != nil || HasEFI(vars) {
		return nil
	}
	return fmt.Errorf("the firmware's variables are not there: mount -t efivarfs efivarfs %s, then write again, or choose the disk in the firmware's menu", vars)
}

// SetBootEntry makes an entry, or renews the one that starts the same program
// of the same partition, puts it first in the boot order, and reads both back.
// It returns the entry's number.
func SetBootEntry(vars string, e BootEntry) (uint16, error) {
	option := e.encode()
	number, err := placeOf(vars, option)
	if err != nil {
		return 0, err
	}
	name := fmt.Sprintf("Boot%04X", number)
	if err := setVariable(vars, name, option); err != nil {
		return 0, err
	}
	order, err := bootOrder(vars)
	if err != nil {
		return 0, err
	}
	order = slices.DeleteFunc(order, func(n uint16) bool { return n == number })
	order = append([]uint16{number}, order...)
	data := make([]byte, 0, 2*len(order))
	for _, n := range order {
		data = binary.LittleEndian.AppendUint16(data, n)
	}
	if err := setVariable(vars, "BootOrder", data); err != nil {
		return 0, err
	}
	for name, want := range map[string][]byte{name: option, "BootOrder": data} {
		if got, err := variable(vars, name); err != nil || !bytes.Equal(got, want) {
			return 0, fmt.Errorf("the firmware did not keep the variable %s (%v): set the boot entry in its menu", name, err)
		}
	}
	return number, nil
}

// encode is the load option (UEFI 2.10, section 3.1.3) with a hard drive and a
// file path node (10.3.5.1, 10.3.5.4).
func (e *BootEntry) encode() []byte {
	le := binary.LittleEndian
	drive := []byte{4, 1, 42, 0}
	drive = le.AppendUint32(drive, e.Partition)
	drive = le.AppendUint64(drive, e.Start)
	drive = le.AppendUint64(drive, e.Sectors)
	g := e.GUID // its first three fields are little-endian on disks
	drive = append(drive, g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6])
	drive = append(drive, g[8:]...)
	drive = append(drive, 2, 2) // GPT, signature is a GUID
	path := text16(e.Path)
	file := le.AppendUint16([]byte{4, 4}, uint16(4+len(path)))
	nodes := append(append(drive, file...), path...)
	nodes = append(nodes, 0x7f, 0xff, 4, 0)
	out := le.AppendUint32(nil, 1) // active
	out = le.AppendUint16(out, uint16(len(nodes)))
	out = append(out, text16(e.Label)...)
	return append(out, nodes...)
}

// text16 is text as the firmware keeps it, with its end.
func text16(s string) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, u)
	}
	return append(out, 0, 0)
}

// nodesOf is the device path of a load option; nil when it is damaged.
func nodesOf(option []byte) []byte {
	if len(option) < 6 {
		return nil
	}
	n := int(binary.LittleEndian.Uint16(option[4:]))
	for i := 6; i+1 < len(option); i += 2 {
		if option[i] == 0 && option[i+1] == 0 {
			if i+2+n > len(option) {
				return nil
			}
			return option[i+2 : i+2+n]
		}
	}
	return nil
}

// immutable is FS_IMMUTABLE_FL.
const immutable = 0x10

var bootVariable = regexp.MustCompile(`^Boot([0-9A-F]{4})` + globalVariable + `$`)

// placeOf is the number of the entry with the same device path, or a free one.
func placeOf(vars string, option []byte) (uint16, error) {
	names, err := os.ReadDir(vars)
	if err != nil {
		return 0, fmt.Errorf("reading the firmware's variables: %w", err)
	}
	taken := map[uint16]bool{}
	for _, n := range names {
		m := bootVariable.FindStringSubmatch(n.Name())
		if m == nil {
			continue
		}
		number, _ := strconv.ParseUint(m[1], 16, 16)
		taken[uint16(number)] = true
		old, err := variable(vars, "Boot"+m[1])
		if err == nil && bytes.Equal(nodesOf(old), nodesOf(option)) {
			return uint16(number), nil
		}
	}
	for n := uint16(0); n < 0xffff; n++ {
		if !taken[n] {
			return n, nil
		}
	}
	return 0, errors.New("the firmware has no free boot entry")
}

func bootOrder(vars string) ([]uint16, error) {
	data, err := variable(vars, "BootOrder")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var out []uint16
	for ; len(data) > 1; data = data[2:] {
		out = append(out, binary.LittleEndian.Uint16(data))
	}
	return out, err
}

// variable reads one; its attributes stand before its data.
func variable(vars, name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(vars, name+globalVariable))
	if err != nil {
		return nil, err
	}
	if len(b) < 4 {
		return nil, fmt.Errorf("the firmware's variable %s is damaged", name)
	}
	return b[4:], nil
}

// setVariable writes one with a single write, as efivarfs demands. Linux
// protects variables from being removed by accident: that flag goes first.
func setVariable(vars, name string, data []byte) error {
	path := filepath.Join(vars, name+globalVariable)
	if f, err := os.Open(path); err == nil {
		flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err == nil && flags&immutable != 0 {
			_ = unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, flags&^immutable)
		}
		f.Close()
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return unset(vars, name, err)
	}
	_, err = f.Write(append(binary.LittleEndian.AppendUint32(nil, variableAttributes), data...))
	if err = errors.Join(err, f.Close()); err != nil {
		return unset(vars, name, err)
	}
	return nil
}

// unset says why a variable was not set, and what helps.
func unset(vars, name string, err error) error {
	remedy := ""
	switch {
	case errors.Is(err, unix.EROFS):
		remedy = ": make the variables writable: mount -o remount,rw " + vars
	case errors.Is(err, unix.ENOSPC):
		remedy = ": the firmware has no room left: remove boot entries that nobody needs (efibootmgr -b NUMBER -B)"
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		remedy = ": only root may, and not where the kernel is locked down"
	}
	return fmt.Errorf("setting the firmware's variable %s: %w%s", name, err, remedy)
}

// ESPPath writes a path of the ESP as the firmware wants it.
func ESPPath(p string) string { return `\` + strings.ReplaceAll(strings.Trim(p, "/"), "/", `\`) }
