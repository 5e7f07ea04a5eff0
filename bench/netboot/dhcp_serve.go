package main

import (
	"context"
	"net/netip"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/netboot/dhcp"
)

// anybody gives an address of the pool and a boot file to all.
type anybody struct{}

func (anybody) Decide(*dhcp.Request) dhcp.Decision {
	return dhcp.Decision{Boot: &dhcp.Boot{Loader: "snponly.efi", Script: "http://10.9.0.1/boot.ipxe"}}
}

func (anybody) Reserved(netip.Addr) bool { return false }

// serveDHCP is slipway's server as it is by default: leases in a synced
// journal, the conflict check, an event for every packet.
func serveDHCP(leases string) error {
	l, err := dhcp.OpenLeases(leases)
	if err != nil {
		return err
	}
	defer l.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var events atomic.Int64
	s := &dhcp.Server{Links: []dhcp.Link{{Name: serverLink}}, Leases: l, Policy: anybody{},
		Events: fleet.SinkFunc(func(fleet.Event) { events.Add(1) }),
		Subnets: []dhcp.Subnet{{Prefix: netip.MustParsePrefix("10.9.0.0/16"), Lease: time.Hour, Router: netip.MustParseAddr("10.9.0.1"),
			Pools: []dhcp.Range{{First: netip.MustParseAddr("10.9.1.0"), Last: netip.MustParseAddr("10.9.250.0")}}}}}
	if profile := os.Getenv("SLIPWAY_CPUPROFILE"); profile != "" {
		defer cpuProfile(profile)()
	}
	return s.Serve(ctx)
}
