// Package container runs machines as containers: the machine's own init is
// process 1 of namespaces of its own, with a private id range, a cgroup2
// subtree, an address in the lab, and the guest helper beside it.
//
// Up starts one supervisor per machine and returns; the supervisor owns the
// machine and ends with it. There is no daemon and nothing to register with:
// a machine is alive while its supervisor holds the lock in its runtime
// folder, and whatever a killed supervisor left behind is removed by Repair.
//
//	sandbox.Main() // first statement of main: the supervisor is this program again
//	m, err := container.Up(ctx, spec, report)
//	res, err := m.Run(ctx, "systemctl", "is-system-running")
//	err = m.Down(ctx)
//
// # What a running machine has
//
// Its root is an overlay: the layers of the built tree below, read-only, and
// an upper of its own that is thrown away at the end unless Spec.Keep. Names
// and addresses (resolv.conf, hosts, hostname) are written there, never into
// the tree. /dev has the harmless nodes and those that the definition names.
// The masks over /proc and /sys prevent accidents; what protects the host is
// that none of its ids is mapped in the machine.
//
// # What it is not
//
// No image format, no registry, no build. Builds run in package sandbox.
// It does not set up the network itself; package lab does.
package container
