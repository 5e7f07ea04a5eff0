package netboot

import (
	"fmt"
	"slices"
)

// held are the digests under which a system's files are served.
type held struct{ kernel, initrd string }

// hold readies a system's files and lets a client have them. What is being
// downloaded stays as it was when a system is replaced.
func (s *Server) hold(client string, system *System) (*held, error) {
	key := system.Version + " " + system.Kernel + " " + system.Initrd
	s.mu.Lock()
	h := s.systems[key]
	s.mu.Unlock()
	if h == nil {
		kernel, err := s.Artefacts.Add(system.Kernel, "", "vmlinuz", false)
		if err != nil {
			return nil, fmt.Errorf("the kernel: %w", err)
		}
		h = &held{kernel: kernel.Digest}
		if system.Initrd != "" {
			initrd, err := s.Artefacts.Add(system.Initrd, "", "initrd", system.Secret && system.Fetch == "")
			if err != nil {
				return nil, fmt.Errorf("the initrd: %w", err)
			}
			h.initrd = initrd.Digest
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.systems[key] = h
	if len(s.recent) > maxExchanges {
		clear(s.recent)
	}
	for _, digest := range []string{h.kernel, h.initrd} {
		list := s.recent[client]
		if digest != "" && !slices.Contains(list, digest) {
			list = append(list, digest)
			s.recent[client] = list[max(0, len(list)-maxRecent):]
		}
	}
	return h, nil
}
