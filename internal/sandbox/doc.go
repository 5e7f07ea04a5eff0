// Package sandbox runs slipway's own work and other people's programs behind
// Linux namespaces, as root and as a normal user alike.
//
// It has three layers. A worker is slipway itself, started again as root of a
// user and mount namespace, where file owners are plain (0 is root) and land on
// disk shifted into a range that belongs to nobody else:
//
//	func main() {
//		sandbox.Main() // never returns in a worker
//		...
//	}
//
//	sandbox.Register("unpack", func(ctx context.Context, w *sandbox.Worker) error { ... })
//	host, err := sandbox.Detect()
//	proc, err := host.Start(ctx, "unpack", args)
//	for event := range proc.Events() { ... }
//	err = proc.Wait()
//
// Inside a worker, Run runs one program of a tree as a tree's own scripts need
// it: private process, mount, network, ipc, host name and cgroup namespaces, a
// small /dev, dropped capabilities and a system call filter. MountOverlay and
// its neighbours mount what the worker needs. EnterExec starts a program inside
// namespaces that exist already, which a multi-threaded Go process cannot do by
// setns alone.
//
// The package is not a container runtime (no images, no limits, no long-lived
// machines) and no boundary against a hostile kernel exploit: the filter and the
// dropped capabilities shrink what a script reaches, they do not prove it safe.
package sandbox
