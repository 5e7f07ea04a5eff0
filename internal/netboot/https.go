package netboot

import (
	"net"
	"net/http"
	"strconv"

	boothttp "slipway/internal/netboot/http"
)

// authorityPath is where the certificate is that clients of HTTPS must trust.
// Who fetches it over HTTP compares it with the file at the server.
const authorityPath = "/ca.pem"

// pages are the Pages, and the authority's certificate, which needs no login.
func (s *Server) pages() http.Handler {
	if s.HTTPS == nil {
		return s.Pages
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == authorityPath && (r.Method == http.MethodGet || r.Method == http.MethodHead):
			w.Header().Set("Content-Type", "application/x-pem-file")
			w.Write(s.Authority.Bundle())
		case s.Pages != nil:
			s.Pages.ServeHTTP(w, r)
		default:
			http.NotFound(w, r)
		}
	})
}

// baseOf is our address as the client of a call is to go on: who came by HTTPS
// stays there.
func (s *Server) baseOf(c boothttp.Call) string {
	if c.Request == nil || c.Request.TLS == nil {
		return s.base(c.Local)
	}
	host := s.host(c.Local)
	if a, ok := s.HTTPS.Addr().(*net.TCPAddr); ok && a.Port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(a.Port))
	}
	return "https://" + host
}
