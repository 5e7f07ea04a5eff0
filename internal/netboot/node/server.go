package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// server is the boot server, as a machine sees it.
type server struct {
	base   *url.URL // http://server/n/TOKEN/
	client *http.Client
	say    func(format string, args ...any)
	pause  time.Duration // before the first repetition
}

// newServer takes the address that the kernel's command line gives.
func newServer(base string, say func(string, ...any)) (*server, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("slipway.node=%s is no address of a boot server (http://192.0.2.1/n/TOKEN/)", base)
	}
	if u.Path == "" || u.Path[len(u.Path)-1] != '/' {
		u.Path += "/"
	}
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ResponseHeaderTimeout: 30 * time.Second, MaxIdleConnsPerHost: 2, DisableCompression: true,
	}
	return &server{base: u, client: &http.Client{Transport: transport}, say: say, pause: time.Second}, nil
}

// refused is an answer that does not change by asking again.
type refused struct {
	status int
	text   string
}

func (e *refused) Error() string {
	if e.status == http.StatusForbidden {
		return "the server refuses this machine (" + e.text + "): its token is used up, too old, or another machine's; switch it off and on"
	}
	return fmt.Sprintf("the server says %d: %s", e.status, e.text)
}

// again repeats what fails for a passing reason, with growing pauses, for tries
// attempts (0: for ever).
func (s *server) again(ctx context.Context, what string, tries int, do func() error) error {
	pause := s.pause
	for n := 1; ; n++ {
		err := do()
		var no *refused
		if err == nil || ctx.Err() != nil || n == tries || errors.As(err, &no) && no.status/100 == 4 && no.status != http.StatusTooManyRequests {
			return err
		}
		s.say("%s: %v; trying again", what, err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 15*s.pause)
	}
}

// post sends a document and gives the answer.
func (s *server) post(ctx context.Context, what string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base.JoinPath(what).String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxOrder+1))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 != 2 {
		return nil, &refused{resp.StatusCode, string(bytes.TrimSpace(data[:min(len(data), 300)]))}
	}
	return data, nil
}

// report tells the server something; tries as in again.
func (s *server) report(ctx context.Context, r Report, tries int) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.again(ctx, "reporting", tries, func() error {
		_, err := s.post(ctx, "report", data)
		return err
	})
}

// resolve makes an artefact's address absolute.
func (s *server) resolve(ref string) (string, error) {
	u, err := s.base.Parse(ref)
	if err != nil {
		return "", fmt.Errorf("the order names the address %q: %w", ref, err)
	}
	return u.String(), nil
}
