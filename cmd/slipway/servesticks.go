package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"time"

	"slipway/internal/netboot"
	"slipway/internal/netboot/node"
	"slipway/internal/netboot/token"
)

// newStickAnswer is what a stick must know that asks this server.
type newStickAnswer struct {
	token.Stick
	Server string `json:"server"` // address, with the stick's token
	Key    string `json:"key"`    // public key of the server's orders
}

// certLife is how long a machine can prove itself by its certificate.
const certLife = 2 * 365 * 24 * time.Hour

// sticks makes, lists and revokes boot sticks, and makes certificates, for whoever may open the server's
// socket. The server's key is in its folder dir.
func sticks(s *netboot.Server, roster func() *netboot.Roster, own netip.Addr, dir string) map[string]http.Handler {
	answer := func(do func(*http.Request) (any, error)) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-s.Ready():
			case <-r.Context().Done():
				return
			}
			w.Header().Set("Content-Type", "application/json")
			v, err := do(r)
			if err != nil {
				w.WriteHeader(http.StatusNotFound)
				v = map[string]string{"error": err.Error()}
			}
			json.NewEncoder(w).Encode(v)
		})
	}
	return map[string]http.Handler{
		"GET /sticks": answer(func(*http.Request) (any, error) { return s.Tokens().Sticks(), nil }),
		"POST /sticks/{machine}": answer(func(r *http.Request) (any, error) {
			name := r.PathValue("machine")
			if roster().Named(name) == nil {
				return nil, fmt.Errorf("no definition of the server's folder is called %q", name)
			}
			key, err := node.PublicKey(filepath.Join(dir, "order.key"))
			if err != nil {
				return nil, err
			}
			made, word, err := s.Tokens().MintStick(r.Context(), name)
			return newStickAnswer{made, s.Base(own) + "/n/" + word + "/", key}, err
		}),
		"POST /certificates/{machine}": answer(func(r *http.Request) (any, error) {
			name := r.PathValue("machine")
			if roster().Named(name) == nil {
				return nil, fmt.Errorf("no definition of the server's folder is called %q", name)
			}
			if s.Authority == nil {
				return nil, errors.New("the server has no HTTPS: start it with --https-port 443")
			}
			crt, key, err := s.Authority.Identity(name, certLife)
			return newCertAnswer{string(crt) + string(key)}, err
		}),
		"DELETE /sticks/{id}": answer(func(r *http.Request) (any, error) {
			return struct{}{}, s.Tokens().RevokeStick(r.Context(), r.PathValue("id"))
		}),
	}
}

// askServer asks the server that runs with these records.
func (e *Env) askServer(ctx context.Context, state, method, path string, v any) error {
	dir, err := e.fleetDir(state)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialIn(ctx, dir)
	}}}
	r, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("no slipway serve runs with the records in %s: start it (%w)", dir, err)
	}
	return errors.Join(readAnswer(resp.StatusCode, resp.Body, v), resp.Body.Close())
}
