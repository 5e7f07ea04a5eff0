package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// takeover is how often a member looks whether it has to serve.
const takeover = 300 * time.Millisecond

// Serve answers names and leases on the bridge while no other member does: the
// member that holds a lock serves, and when it ends another takes over. It
// returns when ctx ends or the servers cannot run. The caller is inside the lab.
func (l *Lab) Serve(ctx context.Context) error { return l.serve(ctx, l.serveDNS, l.serveDHCP) }

// ServeNames is Serve without leases: somebody else in this lab gives addresses.
func (l *Lab) ServeNames(ctx context.Context) error { return l.serve(ctx, l.serveDNS) }

func (l *Lab) serve(ctx context.Context, servers ...func(context.Context) error) error {
	f, err := os.OpenFile(filepath.Join(l.dir, "serve.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("serving the lab: %w", err)
	}
	defer f.Close()
	if err := giveToOwner(f); err != nil {
		return fmt.Errorf("serving the lab: %w", err)
	}
	tick := time.NewTicker(takeover)
	defer tick.Stop()
	for unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
	return l.serveNow(ctx, servers)
}

// serveNow runs the servers until one fails or ctx ends.
func (l *Lab) serveNow(ctx context.Context, servers []func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan error, len(servers))
	for _, serve := range servers {
		go func() { results <- serve(ctx) }()
	}
	err := <-results
	cancel()
	for range servers[1:] {
		err = errors.Join(err, <-results)
	}
	if err != nil {
		return fmt.Errorf("serving the lab: %w", err)
	}
	return nil
}

// inNetNS runs f on a thread that has joined the network namespace ns. What f
// opens stays in it. The thread is thrown away afterwards.
func inNetNS(ns *os.File, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("joining a network namespace: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}

// dialHost dials from the host's network where the lab has it, else from the
// lab, whose way out then carries it.
func (l *Lab) dialHost(ctx context.Context, network, address string) (conn net.Conn, err error) {
	var d net.Dialer
	if l.hostNet == nil {
		return d.DialContext(ctx, network, address)
	}
	err = inNetNS(l.hostNet, func() error {
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
