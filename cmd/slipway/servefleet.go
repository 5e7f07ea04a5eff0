package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"slipway/internal/fleet"
	"slipway/internal/fleet/logs"
	"slipway/internal/netboot"
	"slipway/internal/web"
)

// serveFleet opens the records and the page of a boot server.
func (e *Env) serveFleet(ctx context.Context, s *netboot.Server, folder *netboot.Folder, fleetDir string, prefix netip.Prefix, link string, flags *serveFlags) (func() error, error) {
	password, err := e.pagePassword(prefix, flags)
	if err != nil {
		return nil, err
	}
	store, err := e.storeDir()
	if err != nil {
		return nil, err
	}
	own, dir := filepath.Join(store, "serve"), flags.state
	if dir == "" {
		dir = filepath.Join(own, link, "records")
	}
	o := web.Options{Password: password, Actions: e.pageActions(func() *fleet.Fleet { return s.Fleet }, folder, fleetDir)}
	f, page, done, err := openFleet(ctx, dir, o, net.JoinHostPort(broadcast(prefix).String(), "9"), sticks(s, folder.Roster, prefix.Addr(), own))
	if err != nil {
		return nil, err
	}
	s.Fleet, s.Pages = f, page
	e.serveLogs(ctx, s, prefix.Addr())
	return done, nil
}

// pagePassword reads the password file, or makes a password and says it.
func (e *Env) pagePassword(prefix netip.Prefix, flags *serveFlags) (web.Password, error) {
	if flags.passwordFile == "" {
		token, hash, err := web.NewToken()
		if err == nil {
			e.say(fmt.Sprintf("the page: http://%s/ with the password %s", netip.AddrPortFrom(prefix.Addr(), uint16(flags.port)), token))
		}
		return hash, err
	}
	raw, err := os.ReadFile(flags.passwordFile)
	if err != nil {
		return "", fmt.Errorf("reading the page's password: %w", err)
	}
	password, err := web.ParsePassword(string(raw))
	if err != nil {
		return "", fmt.Errorf("--password-file %s: %w", flags.passwordFile, err)
	}
	return password, nil
}

const syslogPort = 514

// serveLogs takes in what machines send by syslog, and what installers post.
// Where the port is taken the server goes on without: logs are no part of a boot.
func (e *Env) serveLogs(ctx context.Context, s *netboot.Server, address netip.Addr) {
	s.Logs = &logs.Receiver{Sink: s}
	conn, err := net.ListenPacket("udp", netip.AddrPortFrom(address, syslogPort).String())
	if err != nil {
		e.say(fmt.Sprintf("taking no logs by syslog: %v", err))
		return
	}
	s.SyslogPort = syslogPort
	s.Logs.Who = func(from netip.Addr) (client, machine string) {
		n, ok := s.Fleet.At(from.String())
		if !ok {
			return "", ""
		}
		if len(n.Clients) > 0 {
			client = n.Clients[0]
		}
		return client, n.Name
	}
	go func() {
		defer conn.Close()
		s.Logs.Serve(ctx, conn)
	}()
}

// broadcast is the last address of a network.
func broadcast(p netip.Prefix) netip.Addr {
	if !p.Addr().Is4() {
		return netip.IPv4Unspecified()
	}
	a := p.Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		a[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(a)
}
