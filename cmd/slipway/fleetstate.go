package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"slipway/internal/fleet"
	"slipway/internal/fleet/natsstore"
	"slipway/internal/web"
)

// fleetDir finds the records of the server that is meant: there is one folder
// for each interface that was served.
func (e *Env) fleetDir(state string) (string, error) {
	if state != "" {
		if !natsstore.Exists(state) {
			return "", fmt.Errorf("there are no records of machines in %s: slipway serve --state makes them", state)
		}
		return filepath.Abs(state)
	}
	dir, err := e.storeDir()
	if err != nil {
		return "", err
	}
	var found []string
	dirs, err := filepath.Glob(filepath.Join(dir, "serve", "*", "records"))
	for _, d := range dirs {
		if natsstore.Exists(d) {
			found = append(found, d)
		}
	}
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("there are no records of machines below %s: slipway serve DIR makes them (or name their folder with --state)", dir)
	case len(found) > 1:
		return "", fmt.Errorf("several interfaces were served: name one's records with --state: %s", strings.Join(found, ", "))
	}
	return found[0], nil
}

// openFleet opens the records of a server. Other processes of this host reach
// them through its page on a socket in the folder, and what is only for who may
// open that socket (local); done ends that and closes the records.
func openFleet(ctx context.Context, dir string, o web.Options, wake string, local map[string]http.Handler) (f *fleet.Fleet, page http.Handler, done func() error, err error) {
	store, err := natsstore.Open(dir, fleet.Limits{})
	if err != nil {
		return nil, nil, nil, err
	}
	if f, err = fleet.New(ctx, store, fleet.Options{}); err != nil {
		store.Close()
		return nil, nil, nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	o.Actions = fleetActions(f, o.Actions, wake)
	page = web.New(ctx, f, o)
	mux := http.NewServeMux()
	mux.Handle("/", page)
	for pattern, h := range local {
		mux.Handle(pattern, h)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	listener, err := listenIn(dir)
	if err != nil {
		stop()
		f.Close()
		return nil, nil, nil, fmt.Errorf("opening the socket of the fleet's records: %w", err)
	}
	go server.Serve(listener)
	return f, page, func() error {
		stop()
		return errors.Join(server.Close(), f.Close())
	}, nil
}

// fleetActions fills what the page's buttons do, where it is not given.
func fleetActions(f *fleet.Fleet, a web.Actions, wake string) web.Actions {
	if a.Reinstall == nil {
		a.Reinstall = func(ctx context.Context, id string) error {
			_, err := f.Give(ctx, id, "install", "the page", 24*time.Hour)
			return err
		}
	}
	if a.Wake == nil && wake != "" {
		a.Wake = func(_ context.Context, id string) error { return f.Wake(id, wake) }
	}
	return a
}

// askFleet asks the page of a running server, or makes it answer from the
// records of one that is stopped.
func (e *Env) askFleet(ctx context.Context, state, path string, v any) error {
	p, err := e.fleetPage(ctx, state)
	if err != nil {
		return err
	}
	return errors.Join(p.ask(ctx, http.MethodGet, path, "", v), p.close())
}

// fleetPage is the page of a fleet: of a running server, or made for this
// question of the records.
type fleetPage struct {
	do    func(*http.Request) (status int, body io.Reader, done func() error, err error)
	close func() error
}

// fleetPage finds it.
func (e *Env) fleetPage(ctx context.Context, state string) (*fleetPage, error) {
	dir, err := e.fleetDir(state)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialIn(ctx, dir)
	}}}
	if c, err := dialIn(ctx, dir); err == nil {
		c.Close()
		return &fleetPage{close: func() error { return nil }, do: func(r *http.Request) (int, io.Reader, func() error, error) {
			answer, err := client.Do(r)
			if err != nil {
				return 0, nil, nil, err
			}
			return answer.StatusCode, answer.Body, answer.Body.Close, nil
		}}, nil
	}
	store, err := natsstore.Open(dir, fleet.Limits{})
	if err != nil {
		return nil, err
	}
	f, err := fleet.New(ctx, store, fleet.Options{})
	if err != nil {
		store.Close()
		return nil, err
	}
	page := web.New(ctx, f, web.Options{Actions: fleetActions(f, web.Actions{}, "")})
	return &fleetPage{close: f.Close, do: func(r *http.Request) (int, io.Reader, func() error, error) {
		w := &answer{head: http.Header{}, status: http.StatusOK}
		r.RemoteAddr = "@" // as a socket of this host
		page.ServeHTTP(w, r)
		return w.status, &w.body, func() error { return nil }, nil
	}}, nil
}

// csrfHeader has the token without which nothing is done.
const csrfHeader = "X-Slipway-Token"

// ask asks the page, or has it do something.
func (p *fleetPage) ask(ctx context.Context, method, path, token string, v any) error {
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set(csrfHeader, token)
	}
	status, body, done, err := p.do(r)
	if err != nil {
		return err
	}
	return errors.Join(readAnswer(status, body, v), done())
}

// dialIn connects to the server that has its socket in a folder.
func dialIn(ctx context.Context, dir string) (net.Conn, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	var d net.Dialer
	return d.DialContext(ctx, "unix", socketOf(folder))
}

func readAnswer(status int, body io.Reader, v any) error {
	if status != http.StatusOK {
		var failed struct{ Error string }
		if json.NewDecoder(body).Decode(&failed) != nil || failed.Error == "" {
			return fmt.Errorf("the server answered with status %d", status)
		}
		return fmt.Errorf("%s (slipway boot ls lists the machines)", failed.Error)
	}
	if err := json.NewDecoder(body).Decode(v); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	return nil
}

// socketOf names the socket in a folder by way of /proc: the name of a socket
// may have 107 bytes, and a store may be deep.
func socketOf(folder *os.File) string { return fmt.Sprintf("/proc/self/fd/%d/socket", folder.Fd()) }

// listenIn makes the socket anew: the lock of the folder says that nobody
// listens on an old one.
func listenIn(dir string) (net.Listener, error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	path := socketOf(folder)
	os.Remove(path)
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false) // the name is gone by then
	if err := os.Chmod(path, 0o600); err != nil {
		listener.Close()
		return nil, err
	}
	return listener, nil
}

// answer is the page's answer to ourselves.
type answer struct {
	head   http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.head }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }
