// Package supervisor owns running machines: one process per machine, which
// starts it, records it, answers for it and ends with it.
//
// Up starts a supervisor and returns; there is no daemon and nothing to
// register with: a machine is alive while its supervisor holds the lock in its
// runtime folder, and whatever a killed supervisor left behind is removed by
// Repair. What a machine is made of (namespaces, a virtual machine) is a
// Driver's business, chosen by Spec.Target; everything that people and probes
// do with a machine is the same for all:
//
//	sandbox.Main() // first statement of main: the supervisor is this program again
//	m, err := supervisor.Up(ctx, spec, report)
//	res, err := m.Run(ctx, "systemctl", "is-system-running")
//	err = m.Down(ctx)
//
// Inside a machine the guest helper answers, in the protocol of package wire;
// see serve.go for what the supervisor answers itself. Names and addresses
// (resolv.conf, hosts, hostname) are told to a machine as it starts; they
// never stand in a tree.
//
// The package builds nothing and knows no image format. It does not set up the
// network itself; package lab does.
package supervisor
