// Package dhcp answers DHCPv4: it gives addresses and tells machines what to
// boot. It is a whole server (Full) or one that only adds boot answers beside
// a foreign server (Proxy).
//
// What it implements: RFC 2131 and 2132 (addresses, renewals, decline,
// release, inform, option overload), 3046, 3527 and 5107 (relay agents), 3396
// (long options), 4578 (network boot), 6842 (client identifiers come back),
// the PXE 2.1 specification's proxy on port 67 and boot server on port 4011,
// and the UEFI specification's HTTP boot. It is no DHCPv6 server, no relay and
// no client, and it keeps no names.
//
// Packets are coded by insomniacslk/dhcp. What a machine gets is decided by a
// Policy, which the caller owns; every packet is one fleet.Event.
//
//	leases, err := dhcp.OpenLeases(filepath.Join(dir, "leases"))
//	recipes, err := dhcp.OpenRecipes(filepath.Join(dir, "recipes"))
//	s := &dhcp.Server{
//		Links:   []dhcp.Link{{Name: "eth1"}},
//		Subnets: []dhcp.Subnet{{Prefix: ..., Pools: []dhcp.Range{{First: ..., Last: ...}}}},
//		Policy:  policy, Events: sink, Leases: leases, Recipes: recipes,
//	}
//	err = s.Serve(ctx)
//
// A machine is known by its hardware address, not by the client identifier:
// its firmware, its loader and its system send three different identifiers,
// and it should have one address all the way up.
package dhcp
