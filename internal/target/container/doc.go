// Package container runs machines as containers: the machine's own init is
// process 1 of namespaces of its own, with a private id range, a cgroup2
// subtree, an address in the lab, and the guest helper beside it.
//
// It is a driver of package supervisor, which starts, records and reaches
// machines; here is only what makes a container of one:
//
//	supervisor.Register(container.Driver{}, "container")
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
package container
