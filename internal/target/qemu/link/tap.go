package link

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errNoTun says that this host offers no tap devices.
var errNoTun = errors.New("/dev/net/tun is missing or closed")

// tunDevice is a variable for tests.
var tunDevice = "/dev/net/tun"

// OpenTap makes a tap device called name in the bridge. It lives as long as
// its descriptor is open anywhere.
func OpenTap(bridge, name string) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("%w (%v)", errNoTun, err)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", tunDevice, err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making the tap device %s: %w", name, err)
	}
	remove(name)
	// The header before each frame lets guest and host leave checksums and
	// segmentation to each other.
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making the tap device %s: %w", name, err)
	}
	if _, err := attach(bridge, name); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tap "+name), nil
}
