// Package lab is the one private network of a user's machines.
//
// A lab is a network namespace (for a normal user inside a user namespace) with
// a bridge, one IPv4 and one IPv6 subnet, a name server and a DHCP server.
// Containers, virtual machines and probes meet there; the host's interfaces,
// routes and firewall are not touched. It lives as long as it has members:
// processes that hold its namespaces open and a lock on a file in the runtime
// folder. There is no daemon, and nothing remains when the last member ends.
//
//	l, err := lab.Join(ctx, host)           // on the host: `slipway up`
//	p, err := l.Command("slipway:x").Start() // a process inside the lab
//
//	l, err := lab.Inside()                  // in that process
//	link, err := l.Attach(netns, lab.Machine{Name: "web"})
//	go l.Serve(ctx)                         // names and leases, while no other member does
//
// The way out (Machine.Outside) is a choice: as root by address translation in
// a table of our own, removed with the lab. Without it a machine reaches the
// lab and nothing else. The package does not switch VM frames and routes no
// IPv6 to the outside.
package lab
