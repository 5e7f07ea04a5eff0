package dhcp

import (
	"context"
	"errors"
)

type serverState struct{}

// Serve answers on all links until ctx ends. It returns an error when it
// cannot begin: no such interface, a port that somebody holds (and who).
func (s *Server) Serve(ctx context.Context) error {
	return errors.New("being written")
}

// Ready is closed when the server answers on all links.
func (s *Server) Ready() <-chan struct{} { return nil }

// Loaded is told when a client has fetched the whole loader that it was
// offered, by TFTP or HTTP: its make of firmware understood the answer.
func (s *Server) Loaded(client string) {}
