package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Error says that a file could not be fetched: what was tried where, what
// happened, and what to do about it. It never contains credentials.
type Error struct {
	Name     string
	Attempts []Attempt // the last one of each address
	Err      error     // set instead of Attempts when no address is to blame
}

// Attempt is what happened at one address.
type Attempt struct {
	URL   string
	Tries int
	Err   error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("fetching %s: %v%s", e.Name, e.Err, hint(e.Err))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "fetching %s: ", e.Name)
	for i, a := range e.Attempts {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %v", a.URL, plain(a.Err))
		if a.Tries > 1 {
			fmt.Fprintf(&b, " (%d tries)", a.Tries)
		}
	}
	return b.String() + hint(e.last())
}

// Unwrap gives the causes to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Err != nil {
		return []error{e.Err}
	}
	var list []error
	for _, a := range e.Attempts {
		list = append(list, a.Err)
	}
	return list
}

func (e *Error) add(address string, err error) {
	address = redact(address)
	for i := range e.Attempts {
		if e.Attempts[i].URL == address {
			e.Attempts[i].Tries++
			e.Attempts[i].Err = err
			return
		}
	}
	e.Attempts = append(e.Attempts, Attempt{address, 1, err})
}

func (e *Error) last() error {
	if e.Err != nil || len(e.Attempts) == 0 {
		return e.Err
	}
	return e.Attempts[len(e.Attempts)-1].Err
}

// Redact drops user, password and query of an address, for messages and logs.
func Redact(address string) string { return redact(address) }

func redact(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(an address that cannot be parsed)"
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

// plain strips the method and address that net/http puts before a cause:
// the address is named already, and could hold a password.
func plain(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// statusError is an answer other than success.
type statusError struct {
	code  int
	after time.Duration // Retry-After
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("the server answered %d %s", e.code, http.StatusText(e.code)))
}

// contentError is an answer with the wrong bytes.
type contentError struct{ text string }

func (e *contentError) Error() string { return e.text }

// truncatedError is an answer that ended early.
type truncatedError struct{ have, want int64 }

func (e *truncatedError) Error() string {
	return fmt.Sprintf("the connection ended after %d of %d bytes", e.have, e.want)
}

type stallError struct{ limit time.Duration }

func (e *stallError) Error() string { return fmt.Sprintf("no data for %v", e.limit) }

// localError is a fault of this host's disk or setup; other addresses would
// not help.
type localError struct{ err error }

func (e *localError) Error() string { return e.err.Error() }
func (e *localError) Unwrap() error { return e.err }

func wrapLocal(err error) error {
	if err == nil {
		return nil
	}
	return &localError{err}
}

func local(err error) bool {
	var l *localError
	return errors.As(err, &l)
}

// NotFound reports whether err says that the server, asked properly, does
// not have the file (404 or 410, or no such file for file:).
func NotFound(err error) bool {
	var e *Error
	if errors.As(err, &e) && e.Err == nil {
		for _, a := range e.Attempts {
			if !NotFound(a.Err) {
				return false
			}
		}
		return len(e.Attempts) > 0
	}
	var status *statusError
	return errors.As(err, &status) && (status.code == http.StatusNotFound || status.code == http.StatusGone)
}

// Unreachable reports whether err means that the network or the server did
// not answer usefully, as opposed to answering with the wrong thing.
func Unreachable(err error) bool {
	if err == nil {
		return false
	}
	var e *Error
	if errors.As(err, &e) && e.Err == nil {
		for _, a := range e.Attempts {
			if unreachable(a.Err) {
				return true
			}
		}
		return false
	}
	return unreachable(err)
}

func unreachable(err error) bool {
	return temporary(err) || errors.Is(err, errOffline) || noSuchHost(err)
}

// noSuchHost holds when the DNS says that the name does not exist.
func noSuchHost(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && dns.IsNotFound && !dns.IsTemporary
}

// temporary reports whether trying again may help.
func temporary(err error) bool {
	var (
		status      *statusError
		content     *contentError
		certificate *tls.CertificateVerificationError
		policy      *policyError
	)
	switch {
	case errors.As(err, &status):
		return status.code >= 500 || status.code == http.StatusTooManyRequests || status.code == http.StatusRequestTimeout
	case errors.As(err, &content), errors.As(err, &certificate), errors.As(err, &policy), local(err), noSuchHost(err),
		errors.Is(err, errOffline), errors.Is(err, context.Canceled):
		return false
	}
	return true
}

// hint is the remedy, with a leading separator, or empty.
func hint(err error) string {
	var (
		status    *statusError
		content   *contentError
		dns       *net.DNSError
		authority x509.UnknownAuthorityError
		invalid   x509.CertificateInvalidError
		hostname  x509.HostnameError
	)
	text := ""
	switch {
	case err == nil:
	case errors.As(err, &status):
		text = statusHint(status.code)
	case errors.As(err, &content):
		text = "the mirror or a proxy before it gives other bytes than the signed index says; run again later, or use another mirror"
	case errors.As(err, &dns):
		text = "check the name in mirror: and the network's DNS"
	case errors.As(err, &authority):
		text = "for a private CA set Acquire::https::CaInfo in the host's apt configuration, or SSL_CERT_FILE"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		text = "compare this host's clock with the certificate's dates"
	case errors.As(err, &hostname):
		text = "the certificate is for another host; check the address"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		text = "free some space (slipway store gc), or use a store elsewhere with --store"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		text = "use a store that this user may write, with --store"
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		text = "check the network and the proxy settings, or use another mirror"
	case errors.Is(err, errOffline):
		text = "run it once with the network"
	case temporary(err):
		text = "check the network, or use another mirror; what has arrived is kept, and the next run resumes"
	}
	if text == "" {
		return ""
	}
	return "; " + text
}

func statusHint(code int) string {
	switch {
	case code == http.StatusNotFound || code == http.StatusGone:
		return "the mirror does not have it, or not any more: refresh the lock with slipway update, or use another mirror"
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return "the server wants credentials: give them in the host's /etc/apt/auth.conf.d"
	case code == http.StatusProxyAuthRequired:
		return "the proxy wants credentials: put them into the proxy's address"
	}
	return "the fault is the server's: run again later, or use another mirror"
}
