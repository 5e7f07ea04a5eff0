// Package web is the live page of a fleet: every machine with its stage, its
// progress and what stops it; the same as JSON below /api/, as a stream of
// events, and as metrics.
//
// The page is plain files in static/, embedded as they are: no build step, no
// foreign script. It shows what the fleet knows and starts what the injected
// Actions do; it decides nothing about boots. Everything that machines say is
// hostile: it reaches the page as JSON and is put there as text, never as
// markup.
package web

import (
	"context"
	"embed"
	"encoding/json"
	"net/http"
	"time"

	"slipway/internal/fleet"
)

//go:embed static
var static embed.FS

// Actions are what the page's buttons do. A nil one has no button.
type Actions struct {
	// Approve lets an unknown machine in, by that name or (empty) the suggested.
	Approve   func(ctx context.Context, machine, name string) error
	Reinstall func(ctx context.Context, machine string) error // grant one installation
	Wake      func(ctx context.Context, machine string) error // send a magic packet, or switch its power on
	// Definition returns the definition of a machine as text.
	Definition func(ctx context.Context, machine string) (string, error)
	// Suggest says what an unknown machine could become, from its hardware.
	Suggest func(ctx context.Context, machine string) (*fleet.Suggestion, error)
}

// Options of the page.
type Options struct {
	Title   string // of the page; default "slipway"
	Actions Actions
	// Password is the key that opens the page to clients that are not on this
	// host; empty: only this host may look. HashPassword makes it.
	Password Password
	Now      func() time.Time
}

// Server is the page of a fleet. It is an http.Handler for everything that is
// no boot file.
type Server struct {
	fleet *fleet.Fleet
	o     Options
	mux   *http.ServeMux
	auth  *auth
	feed  *feed
	stats *counters
}

// New makes the page. It follows the fleet until ctx ends.
func New(ctx context.Context, f *fleet.Fleet, o Options) *Server {
	if o.Title == "" {
		o.Title = "slipway"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	s := &Server{fleet: f, o: o, mux: http.NewServeMux(), auth: newAuth(o.Password, o.Now), stats: &counters{kinds: map[string]int64{}}}
	s.feed = newFeed(ctx, s)
	s.routes()
	return s
}

func (s *Server) routes() {
	page := func(w http.ResponseWriter, r *http.Request) { s.file(w, r, "index.html") }
	s.mux.HandleFunc("GET /{$}", page)
	s.mux.HandleFunc("GET /machine/{id}", page)
	s.mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) { s.file(w, r, "login.html") })
	s.mux.HandleFunc("POST /login", s.auth.login)
	s.mux.HandleFunc("POST /logout", s.auth.logout)
	s.mux.HandleFunc("GET /static/{name}", func(w http.ResponseWriter, r *http.Request) { s.file(w, r, r.PathValue("name")) })
	s.mux.HandleFunc("GET /api/info", s.info)
	s.mux.HandleFunc("GET /api/machines", s.machines)
	s.mux.HandleFunc("GET /api/machines/{id}", s.machine)
	s.mux.HandleFunc("GET /api/machines/{id}/events", s.events)
	s.mux.HandleFunc("GET /api/machines/{id}/why", s.why)
	s.mux.HandleFunc("POST /api/machines/{id}/{action}", s.act)
	s.mux.HandleFunc("GET /api/events", s.feed.serve)
	s.mux.HandleFunc("GET /metrics", s.metrics)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if !s.auth.allow(w, r) {
		return
	}
	s.mux.ServeHTTP(w, r)
}

// secure sets what keeps foreign content out of the page.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

var types = map[string]string{"index.html": "text/html; charset=utf-8", "login.html": "text/html; charset=utf-8",
	"style.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8", "login.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}

func (s *Server) file(w http.ResponseWriter, r *http.Request, name string) {
	kind, known := types[name]
	body, err := static.ReadFile("static/" + name)
	if err != nil || !known {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	w.Write(body)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}
