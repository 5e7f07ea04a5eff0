package main

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"

	"slipway/internal/fleet"
	"slipway/internal/netboot"
	"slipway/internal/web"
)

// serveFleet opens the records and the page of a boot server.
func (e *Env) serveFleet(ctx context.Context, s *netboot.Server, folder *netboot.Folder, prefix netip.Prefix, flags *serveFlags) (func() error, error) {
	password, err := e.pagePassword(prefix, flags)
	if err != nil {
		return nil, err
	}
	var f *fleet.Fleet
	actions := pageActions(func() *fleet.Fleet { return f }, folder)
	f, page, done, err := e.openFleet(ctx, flags.state, web.Options{Password: password, Actions: actions}, net.JoinHostPort(broadcast(prefix).String(), "9"))
	if err != nil {
		return nil, err
	}
	s.Fleet, s.Pages = f, page
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
