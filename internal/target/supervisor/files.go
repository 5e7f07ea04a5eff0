package supervisor

import (
	"slipway/internal/guest/wire"
)

// runtimeFiles are what a running machine has and its built tree must not: its
// name, its neighbours and who resolves names for it.
func (s *supervisor) runtimeFiles(link *Attachment) []wire.File {
	name := s.Spec.hostname()
	files := []wire.File{
		{Path: "/etc/hostname", Content: name + "\n", Mode: 0o644},
		{Path: "/etc/hosts", Content: hostsLines(name, link), Mode: 0o644, Append: true},
	}
	if link != nil && link.resolv != "" && s.Spec.Definition.ChosenResolver() == "" {
		files = append(files, wire.File{Path: "/etc/resolv.conf", Content: link.resolv, Mode: 0o644})
	}
	return files
}

func hostsLines(name string, link *Attachment) string {
	lines := "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
	if link == nil || len(link.list) == 0 {
		return lines + "127.0.1.1 " + name + "\n"
	}
	for _, ip := range link.list {
		lines += ip.String() + " " + name + "\n"
	}
	return lines
}
