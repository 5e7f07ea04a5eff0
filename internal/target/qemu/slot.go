package qemu

import (
	"fmt"
	"strconv"
	"strings"
)

// Slot is a PCI address as lspci and by-path names have it: "05.0" on the root
// bus, or "03:00.0" behind a port, so that a rehearsal's names are those of the
// real computer. Buses are numbered by the firmware in the order of the ports,
// so that there are as many ports as the highest bus says.
type Slot struct{ Bus, Device, Function int }

// maxBus is how many ports fit behind the two devices that carry them.
const maxBus = 16

// portDevices carry eight ports each; the firmware meets them in this order.
var portDevices = [2]int{0x1b, 0x1c}

// ParseSlot reads "DD", "DD.F", "BB:DD.F" or "0000:BB:DD.F", in hexadecimal.
func ParseSlot(text string) (Slot, error) {
	var s Slot
	rest := strings.TrimPrefix(text, "0000:")
	bus, rest, ok := strings.Cut(rest, ":")
	if !ok {
		bus, rest = "0", bus
	}
	device, function, ok := strings.Cut(rest, ".")
	if !ok {
		function = "0"
	}
	for _, part := range []struct {
		text string
		max  uint64
		to   *int
	}{{bus, maxBus, &s.Bus}, {device, 31, &s.Device}, {function, 7, &s.Function}} {
		n, err := strconv.ParseUint(part.text, 16, 8)
		if err != nil || n > part.max {
			return s, fmt.Errorf("%q is no PCI address that a machine can have: write 05.0, or 03:00.0 with a bus up to %x", text, maxBus)
		}
		*part.to = int(n)
	}
	if s.Bus > 0 && s.Device != 0 {
		return s, fmt.Errorf("PCI address %q: behind a port there is only device 00", text)
	}
	return s, nil
}

func (s Slot) String() string { return fmt.Sprintf("%02x:%02x.%x", s.Bus, s.Device, s.Function) }

// busName is the slot's bus in QEMU's words.
func (s Slot) busName() string {
	if s.Bus == 0 {
		return "pcie.0"
	}
	return fmt.Sprintf("port%d", s.Bus)
}

// properties is what a device needs to be there.
func (s Slot) properties() string {
	return fmt.Sprintf("bus=%s,addr=%#x.%d", s.busName(), s.Device, s.Function)
}

// several is a property of devices that may have others beside them.
const several = ",multifunction=on"

// slots gives every device its place: those that were asked for, and the same
// ones for the others as long as the machine has the same devices of their
// kind, so that names in the guest do not change.
type slots struct {
	taken  map[Slot]string
	maxBus int
}

// reserved are slots that the chipsets have themselves: the host bridge, what
// older guests take for a display, the ports and the south bridge.
func newSlots() *slots {
	s := &slots{taken: map[Slot]string{}}
	for _, d := range []int{0, 1, portDevices[0], portDevices[1], 0x1f} {
		for f := range 8 {
			s.taken[Slot{0, d, f}] = "the chipset"
		}
	}
	return s
}

// claim takes a slot that was asked for.
func (s *slots) claim(text, who string) (Slot, error) {
	slot, err := ParseSlot(text)
	if err != nil {
		return slot, fmt.Errorf("%s: %w", who, err)
	}
	if other := s.taken[slot]; other != "" {
		return slot, fmt.Errorf("%s: PCI address %s is taken by %s", who, slot, other)
	}
	s.taken[slot] = who
	s.maxBus = max(s.maxBus, slot.Bus)
	return slot, nil
}

// free takes the first free slot from a device number on.
func (s *slots) free(from int, who string) (Slot, error) {
	for i := range 32 {
		slot := Slot{0, (from + i) % 32, 0}
		if s.taken[slot] == "" {
			s.taken[slot] = who
			return slot, nil
		}
	}
	return Slot{}, fmt.Errorf("%s: the machine has no PCI slot left; it has too many devices", who)
}

// complete finds functions that no guest would see, because the first one of
// their device is missing.
func (s *slots) complete() error {
	for slot, who := range s.taken {
		if slot.Function > 0 && s.taken[Slot{slot.Bus, slot.Device, 0}] == "" {
			return fmt.Errorf("%s: PCI address %s needs a device at %02x:%02x.0 too, or guests do not see it", who, slot, slot.Bus, slot.Device)
		}
	}
	return nil
}

// ports are the arguments of the ports that carry buses.
func (s *slots) ports() []string {
	var args []string
	for bus := 1; bus <= s.maxBus; bus++ {
		n := bus - 1
		args = append(args, "-device", fmt.Sprintf("pcie-root-port,id=port%d,bus=pcie.0,chassis=%d,addr=%#x.%d,multifunction=on",
			bus, bus, portDevices[n/8], n%8))
	}
	return args
}
