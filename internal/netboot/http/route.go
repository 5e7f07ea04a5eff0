package http

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/netboot/token"
)

// Handler is the whole server as a handler, for listeners of the caller's own.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.route) }

func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	name, ok := rawName(r.RequestURI)
	if !ok {
		s.missing(w, r, fleet.Event{}, "the name is none: it leaves the root or holds a zero byte")
		return
	}
	if under, moved := rewritten(name); moved {
		s.tell(r, fleet.Event{}, fleet.KindHTTPRedirect, fmt.Sprintf("a boot file was asked for below /%s: a proxy on the way rewrites addresses, or leads the machine elsewhere", under), http.StatusNotFound)
		http.Error(w, "slipway: boot files have no other names", http.StatusNotFound)
		return
	}
	switch room, rest, _ := strings.Cut(name, "/"); {
	case room == "a" && s.Artefacts != nil:
		s.artefact(w, r, rest)
	case room == "b" && s.Boot != nil:
		s.boot(w, r, rest)
	case room == "n" && s.Node != nil:
		s.node(w, r, rest)
	case room != "a" && room != "b" && room != "n" && s.Pages != nil:
		s.Pages.ServeHTTP(w, r)
	default:
		s.missing(w, r, fleet.Event{}, "nothing is served there")
	}
}

// rawName makes the name of what stands in the request line: decoded once,
// without leading slashes, and otherwise as it came. Names are looked up, never
// joined to a folder; what tries to leave one is refused all the same.
func rawName(uri string) (string, bool) {
	if i := strings.Index(uri, "://"); i > 0 && !strings.HasPrefix(uri, "/") { // absolute form, RFC 9112, 3.2.2
		rest := uri[i+3:]
		slash := strings.IndexByte(rest, '/')
		if slash < 0 {
			return "", true
		}
		uri = rest[slash:]
	}
	uri, _, _ = strings.Cut(uri, "?")
	name, err := url.PathUnescape(uri)
	if err != nil || strings.ContainsRune(name, 0) {
		return "", false
	}
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }) {
		if part == ".." {
			return "", false
		}
	}
	return strings.TrimLeft(name, "/"), true
}

// rewritten says whether a name is one of ours with something put before it.
func rewritten(name string) (under string, moved bool) {
	parts := strings.Split(name, "/")
	for i := 1; i+1 < len(parts) && i < 16; i++ {
		if (parts[i] == "b" || parts[i] == "n") && token.Looks(parts[i+1]) && !token.Looks(parts[i-1]) {
			return clip(strings.Join(parts[:i], "/"), 64), true
		}
	}
	return "", false
}

func (s *Server) artefact(w http.ResponseWriter, r *http.Request, name string) {
	digest, ok := strings.CutPrefix(name, "sha256-")
	var about fleet.Event
	from, _ := ends(r)
	if s.Who != nil {
		about = s.Who(from, digest)
	}
	if !ok || !reads(r) {
		s.missing(w, r, about, "an artefact is named sha256- and 64 hexadecimal digits")
		return
	}
	c, err := s.Artefacts.Content(r.Context(), digest)
	if err == nil && c.Secret {
		c.Close()
		err = fmt.Errorf("the artefact holds secrets and is given out by token alone: %w", fs.ErrPermission)
	}
	if about.Fields == nil {
		about.Fields = c.About.Fields
	}
	c.About = about
	s.answer(w, r, c, err)
}

func (s *Server) boot(w http.ResponseWriter, r *http.Request, rest string) {
	call, ok := s.call(w, r, rest)
	if !ok {
		return
	}
	c, err := s.Boot(r.Context(), call)
	if c.About.Client == "" {
		c.About.Client = call.Claim.Client
	}
	if c.About.Machine == "" {
		c.About.Machine = call.Claim.Machine
	}
	if err == nil && c.Secret && !reads(r) {
		c.Close()
		err = fs.ErrPermission
	}
	if err == nil && c.Secret && r.Method == http.MethodGet {
		c.receipt, err = s.Tokens.Spend(call.Token, call.Name, call.From, call.Identity)
		if err != nil {
			c.Close()
			err = fmt.Errorf("%w: %w", fs.ErrPermission, err)
		}
	}
	s.answer(w, r, c, err)
}

func (s *Server) node(w http.ResponseWriter, r *http.Request, rest string) {
	call, ok := s.call(w, r, rest)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, or(s.MaxBody, 64<<20))
	s.Node.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, call)))
}

// call checks the token of a request.
func (s *Server) call(w http.ResponseWriter, r *http.Request, rest string) (Call, bool) {
	tok, name, _ := strings.Cut(rest, "/")
	from, local := ends(r)
	c := Call{Token: tok, Name: strings.TrimLeft(name, "/"), From: from, Local: local, Request: r, Identity: identity(r)}
	err := token.ErrUnknown
	if s.Tokens != nil {
		c.Claim, err = s.Tokens.Use(tok, from)
		if err == nil {
			mac := strings.ReplaceAll(strings.ToLower(r.URL.Query().Get("mac")), "-", ":")
			err = s.Tokens.Check(c.Claim, from, mac)
		}
	}
	if err != nil {
		s.refused(w, r, fleet.Event{Client: c.Claim.Client, Machine: c.Claim.Machine}, err)
		return Call{}, false
	}
	return c, true
}

// identity is the name in the certificate that a client proved.
func identity(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return ""
	}
	return r.TLS.VerifiedChains[0][0].Subject.CommonName
}

// answer sends the content, or says why there is none.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, c Content, err error) {
	var later *Later
	switch {
	case err == nil:
		s.Send(w, r, c)
	case errors.As(err, &later):
		s.later(w, r, c.About, later.After, err.Error())
	case errors.Is(err, fs.ErrPermission):
		s.refused(w, r, c.About, err)
	case errors.Is(err, fs.ErrNotExist):
		s.missing(w, r, c.About, err.Error())
	default:
		s.tell(r, c.About, fleet.KindHTTPAbort, err.Error(), http.StatusInternalServerError)
		http.Error(w, "slipway: the server could not read it", http.StatusInternalServerError)
	}
}

func (s *Server) missing(w http.ResponseWriter, r *http.Request, about fleet.Event, why string) {
	s.tell(r, about, fleet.KindHTTPMissing, why, http.StatusNotFound)
	http.Error(w, "slipway: not found", http.StatusNotFound)
}

func (s *Server) refused(w http.ResponseWriter, r *http.Request, about fleet.Event, why error) {
	s.tell(r, about, fleet.KindHTTPRefused, why.Error(), http.StatusForbidden)
	http.Error(w, "slipway: refused, ask for an address again", http.StatusForbidden)
}

func (s *Server) later(w http.ResponseWriter, r *http.Request, about fleet.Event, after time.Duration, why string) {
	s.tell(r, about, fleet.KindHTTPBusy, why, http.StatusServiceUnavailable)
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(after.Round(time.Second)/time.Second))))
	http.Error(w, "slipway: others come first, try again", http.StatusServiceUnavailable)
}

func reads(r *http.Request) bool { return r.Method == http.MethodGet || r.Method == http.MethodHead }

// ends are the addresses of both ends of the request's connection.
func ends(r *http.Request) (from, local netip.Addr) {
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from = ap.Addr().Unmap().WithZone("")
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		local = addrOf(a)
	}
	return from, local
}
