package store

import (
	"fmt"
	"os"
	"strings"
)

// Pin keeps a layer, and all below it, from garbage collection under some
// name, such as that of a running machine or of kept state. A name pins one
// key: pinning again replaces it.
func (s *Store) Pin(name, key string) error {
	if err := s.writable("pinning a layer"); err != nil {
		return err
	}
	if !validName(name) || !validName(key) {
		return fmt.Errorf("pinning %q as %q: not usable names", key, name)
	}
	f, err := s.TempFile("pin")
	if err != nil {
		return err
	}
	if _, err := f.WriteString(key + "\n"); err != nil {
		f.Close()
		os.Remove(f.Name())
		return s.explain("pinning a layer", err)
	}
	return s.publish(f, s.path("pins", name))
}

// Unpin ends a pin. None of this name is no error.
func (s *Store) Unpin(name string) error {
	if err := s.writable("unpinning a layer"); err != nil {
		return err
	}
	if !validName(name) {
		return fmt.Errorf("unpinning %q: not a usable name", name)
	}
	return s.explain("unpinning a layer", ignoreNotExist(os.Remove(s.path("pins", name))))
}

// Pins lists the pinned key of every name.
func (s *Store) Pins() (map[string]string, error) {
	names, err := os.ReadDir(s.path("pins"))
	if err != nil {
		return nil, s.explain("reading pins", err)
	}
	pins := make(map[string]string, len(names))
	for _, n := range names {
		b, err := os.ReadFile(s.path("pins", n.Name()))
		if ignoreNotExist(err) != nil {
			return nil, s.explain("reading pins", err)
		}
		if key := strings.TrimSpace(string(b)); err == nil && key != "" {
			pins[n.Name()] = key
		}
	}
	return pins, nil
}
