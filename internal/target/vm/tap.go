package vm

import (
	"fmt"
	"os"

	"slipway/internal/lab"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newTap makes a tap device on the lab's bridge. It goes with its descriptor.
func newTap(name string) (*os.File, error) {
	if old, err := netlink.LinkByName(name); err == nil {
		_ = netlink.LinkDel(old) // of a machine that was killed
	}
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil {
		err = join(name)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("making a tap device: %w", err)
	}
	return f, nil
}

// join puts a device on the bridge and switches it on.
func join(name string) error {
	device, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	bridge, err := netlink.LinkByName(lab.Bridge)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetMaster(device, bridge); err != nil {
		return err
	}
	return netlink.LinkSetUp(device)
}
