package main

import (
	"fmt"
	"net/netip"
	"path/filepath"

	"slipway/internal/netboot"
	boothttp "slipway/internal/netboot/http"
)

// fedAtOnce is how many machines load a kernel or an initrd at once: at 1 Gbit/s
// each has 2 MB/s, and the others, who are told when to come back, follow sooner
// than if all had crept along.
const fedAtOnce = 64

// serveTLS opens HTTPS, with the authority that is kept beside the server's keys.
func (e *Env) serveTLS(s *netboot.Server, own netip.Addr, dir string, flags *serveFlags) (err error) {
	if flags.tls == 0 {
		if flags.certified {
			return usageError("--require-client-cert: certificates are shown over HTTPS: add --https-port 443")
		}
		return nil
	}
	dir = filepath.Join(dir, "ca")
	if s.Authority, err = boothttp.OpenAuthority(dir, "slipway serve", nil); err != nil {
		return err
	}
	if s.HTTPS, err = netboot.ListenTLS(own, flags.tls); err != nil {
		return err
	}
	s.Certified = flags.certified
	e.say(fmt.Sprintf("HTTPS: https://%s/, trust %s", netip.AddrPortFrom(own, uint16(flags.tls)), filepath.Join(dir, "ca.crt")))
	return nil
}
