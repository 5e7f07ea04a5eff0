package web

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Password is a hash as HashPassword writes it: pbkdf2-sha256$ROUNDS$SALT$HASH.
type Password string

const rounds = 200_000

// HashPassword makes what a password file holds.
func HashPassword(password string) (Password, error) {
	if len(password) < 8 {
		return "", errors.New("the password has fewer than 8 characters: take a longer one")
	}
	salt := make([]byte, 16)
	rand.Read(salt)
	key, err := pbkdf2.Key(sha256.New, password, salt, rounds, 32)
	if err != nil {
		return "", err
	}
	return Password(fmt.Sprintf("pbkdf2-sha256$%d$%s$%s", rounds, hex.EncodeToString(salt), hex.EncodeToString(key))), nil
}

// NewToken makes a random password, to be shown once when the server starts.
func NewToken() (token string, hash Password, err error) {
	raw := make([]byte, 18)
	rand.Read(raw)
	token = base64.RawURLEncoding.EncodeToString(raw)
	hash, err = HashPassword(token)
	return token, hash, err
}

// ParsePassword reads a password file: blanks around the hash are nothing.
func ParsePassword(text string) (Password, error) {
	p := Password(strings.TrimSpace(text))
	if _, _, _, err := p.parts(); err != nil {
		return "", err
	}
	return p, nil
}

func (p Password) parts() (n int, salt, key []byte, err error) {
	words := strings.Split(string(p), "$")
	bad := errors.New("the password file does not hold a hash: want pbkdf2-sha256$ROUNDS$SALT$HASH")
	if len(words) != 4 || words[0] != "pbkdf2-sha256" {
		return 0, nil, nil, bad
	}
	n, errN := strconv.Atoi(words[1])
	salt, errS := hex.DecodeString(words[2])
	key, errK := hex.DecodeString(words[3])
	if errors.Join(errN, errS, errK) != nil || n < 1000 || n > 10_000_000 || len(key) != 32 || len(salt) < 8 {
		return 0, nil, nil, bad
	}
	return n, salt, key, nil
}

func (p Password) matches(word string) bool {
	n, salt, want, err := p.parts()
	if err != nil {
		return false
	}
	key, err := pbkdf2.Key(sha256.New, word, salt, n, 32)
	return err == nil && subtle.ConstantTimeCompare(key, want) == 1
}

// auth lets this host in, and others with a session.
type auth struct {
	password Password
	now      func() time.Time
	guess    sync.Mutex // one guess at a time: hashing is the brake

	mu       sync.Mutex
	sessions map[string]*session
	local    map[string]time.Time // tokens of pages on this host
	late     time.Time            // no guess before
	wrong    int
}

type session struct {
	csrf string
	ends time.Time
}

const (
	cookieSession = "slipway_session"
	headerCSRF    = "X-Slipway-Token"
	sessionTime   = 12 * time.Hour
	maxSessions   = 1000
)

func newAuth(p Password, now func() time.Time) *auth {
	return &auth{password: p, now: now, sessions: map[string]*session{}, local: map[string]time.Time{}}
}

// onThisHost is true for clients on loopback that ask for a name of this host:
// a page of the Internet whose name was pointed at 127.0.0.1 is refused.
func onThisHost(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr == "@" || r.RemoteAddr == "" // a Unix socket
	}
	// A packet that bears an address of this host and comes from elsewhere is
	// dropped by the kernel, so our own address is as good as loopback.
	own := netip.Addr{}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if a, err := netip.ParseAddrPort(local.String()); err == nil && a.Addr().Unmap() == from.Addr().Unmap() {
			own = a.Addr().Unmap()
		}
	}
	if !from.Addr().Unmap().IsLoopback() && !own.IsValid() || r.Header.Get("X-Forwarded-For") != "" || r.Header.Get("Forwarded") != "" {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && (ip.IsLoopback() || ip.Unmap() == own)
}

// open are the files that one sees before the login.
var open = map[string]bool{"/login": true, "/static/style.css": true, "/static/login.js": true, "/static/icon.svg": true}

// allow answers the request itself and returns false where nothing may be seen.
func (a *auth) allow(w http.ResponseWriter, r *http.Request) bool {
	if onThisHost(r) || open[r.URL.Path] && a.password != "" || a.session(r) != nil || a.bearer(r) {
		return true
	}
	switch {
	case a.password == "":
		fail(w, http.StatusForbidden, errors.New("this page is open on the server's own host only; a password file opens it to others"))
	case r.Method == http.MethodGet && !strings.HasPrefix(r.URL.Path, "/api/") && r.URL.Path != "/metrics":
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	default:
		w.Header().Set("WWW-Authenticate", "Bearer")
		fail(w, http.StatusUnauthorized, errors.New("log in first"))
	}
	return false
}

// bearer lets programs in with the password: for GET alone, so that a browser's
// session stays the only way to act.
func (a *auth) bearer(r *http.Request) bool {
	word, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && r.Method == http.MethodGet && a.try(word) == nil
}

func (a *auth) session(r *http.Request) *session {
	c, err := r.Cookie(cookieSession)
	if err != nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[c.Value]
	if s != nil && a.now().After(s.ends) {
		delete(a.sessions, c.Value)
		return nil
	}
	return s
}

var errWrong = errors.New("the password is wrong")

// try compares a password. Wrong ones slow down all: guesses cost a second each
// after the tenth.
func (a *auth) try(word string) error {
	if a.password == "" || len(word) > 1024 {
		return errWrong
	}
	a.guess.Lock()
	defer a.guess.Unlock()
	if a.now().Before(a.late) {
		return errors.New("too many wrong passwords: wait a moment")
	}
	if a.password.matches(word) {
		a.wrong = 0
		return nil
	}
	if a.wrong++; a.wrong > 10 {
		a.late = a.now().Add(time.Second)
	}
	return errWrong
}

func (a *auth) login(w http.ResponseWriter, r *http.Request) {
	if !sameOrigin(r) {
		fail(w, http.StatusForbidden, errors.New("the request does not come from this page"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	if err := a.try(r.PostFormValue("password")); err != nil {
		http.Redirect(w, r, "/login?wrong", http.StatusSeeOther)
		return
	}
	id := random()
	a.mu.Lock()
	for k, s := range a.sessions {
		if len(a.sessions) >= maxSessions || a.now().After(s.ends) {
			delete(a.sessions, k)
		}
	}
	a.sessions[id] = &session{csrf: random(), ends: a.now().Add(sessionTime)}
	a.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: cookieSession, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil, MaxAge: int(sessionTime.Seconds())})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (a *auth) logout(w http.ResponseWriter, r *http.Request) {
	if !a.checkCSRF(r) {
		fail(w, http.StatusForbidden, errors.New("the request does not come from this page"))
		return
	}
	if c, err := r.Cookie(cookieSession); err == nil {
		a.mu.Lock()
		delete(a.sessions, c.Value)
		a.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: cookieSession, Path: "/", MaxAge: -1})
	reply(w, map[string]bool{"ok": true})
}

// csrf is the token that actions need: the session's, or on this host a fresh one.
func (a *auth) csrf(w http.ResponseWriter, r *http.Request) string {
	if s := a.session(r); s != nil {
		return s.csrf
	}
	if !onThisHost(r) {
		return ""
	}
	token := random()
	a.mu.Lock()
	defer a.mu.Unlock()
	for k, ends := range a.local {
		if len(a.local) >= maxSessions || a.now().After(ends) {
			delete(a.local, k)
		}
	}
	a.local[token] = a.now().Add(sessionTime)
	return token
}

func (a *auth) checkCSRF(r *http.Request) bool {
	token := r.Header.Get(headerCSRF)
	if token == "" || !sameOrigin(r) {
		return false
	}
	if s := a.session(r); s != nil {
		return subtle.ConstantTimeCompare([]byte(s.csrf), []byte(token)) == 1
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	ends, ok := a.local[token]
	return ok && onThisHost(r) && a.now().Before(ends)
}

func random() string {
	raw := make([]byte, 24)
	rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw)
}
