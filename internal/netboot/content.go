package netboot

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"slipway/internal/fleet"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/ipxe"
	"slipway/internal/netboot/tftp"
	"slipway/internal/netboot/token"
)

// Names below /b/TOKEN/. Files of systems are named f/DIGEST/NAME.
const (
	helloName    = "boot.ipxe"
	autoexecName = "autoexec.ipxe" // what iPXE looks for beside itself
	scriptName   = "script.ipxe"
	filesName    = "f/"
)

// content is what a name means for a machine.
func (s *Server) content(ctx context.Context, c boothttp.Call) (boothttp.Content, error) {
	about := fleet.Event{Client: c.Claim.Client, Machine: c.Claim.Machine, Address: c.From.String()}
	base := s.baseOf(c) + "/b/" + c.Token + "/"
	switch {
	case c.Claim.Only != "" && c.Name != installerName+reportName:
		return boothttp.Content{About: about}, fmt.Errorf("this token fetches nothing: %w", fs.ErrPermission)
	case c.Name == helloName, c.Name == autoexecName:
		about.Stage = fleet.StageScript
		return s.text(c.Name, ipxe.Hello(base), about), nil
	case c.Name == scriptName:
		script, machine := s.script(ctx, c, base)
		about.Stage = fleet.StageScript
		if machine != nil {
			about.Machine = machine.Name
		}
		return s.text(c.Name, script, about), nil
	case strings.HasPrefix(c.Name, installerName):
		return s.installer(ctx, c, base, about)
	case strings.HasPrefix(c.Name, filesName):
		return s.file(ctx, c, about)
	}
	return s.loader(c.Name, about)
}

// text is a script; its receipt is evidence as about says.
func (s *Server) text(name string, script []byte, about fleet.Event) boothttp.Content {
	about.Fields = map[string]string{fleet.FieldFile: name}
	return boothttp.Content{Bytes: script, Name: name, About: about}
}

// loader opens one of iPXE's binaries.
func (s *Server) loader(name string, about fleet.Event) (boothttp.Content, error) {
	about.Fields = map[string]string{fleet.FieldFile: name}
	path := s.Loaders[name]
	if path == "" {
		return boothttp.Content{About: about}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	f, err := os.Open(path)
	about.Stage = fleet.StageLoader
	return boothttp.Content{File: f, Name: name, About: about}, err
}

// stages are what the receipt of a system's files is evidence of.
var stages = map[string]string{"vmlinuz": fleet.StageKernel, "initrd": fleet.StageInitrd}

// file opens a file of a system. Only a machine that was told of it gets it.
func (s *Server) file(ctx context.Context, c boothttp.Call, about fleet.Event) (boothttp.Content, error) {
	digest, name, _ := strings.Cut(strings.TrimPrefix(c.Name, filesName), "/")
	about.Stage = stages[name]
	about.Fields = map[string]string{fleet.FieldFile: name, fleet.FieldVersion: digest}
	s.mu.Lock()
	told := slices.Contains(s.recent[recentKey(c.Claim)], digest)
	s.mu.Unlock()
	if !told {
		return boothttp.Content{About: about}, fmt.Errorf("%s is not this machine's: %w", c.Name, fs.ErrPermission)
	}
	content, err := s.Artefacts.Content(ctx, digest)
	content.Name, content.About = name, about
	return content, err
}

// recentKey is under which the files that a client was told of are kept.
func recentKey(c token.Claim) string { return c.Client }

// maxRecent is how many files a client may have been told of and still get: of
// this boot and of a few before.
const maxRecent = 8

// openTFTP finds what firmware asks for: a loader below its token. A bare name
// is answered too, for those who are led here by a foreign DHCP server.
func (s *Server) openTFTP(_ context.Context, r tftp.Request) (tftp.Answer, error) {
	about := s.speaker(r.Client.Addr().Unmap())
	name := r.Name
	base := ""
	if rest, ok := strings.CutPrefix(name, "b/"); ok {
		t, bare, _ := strings.Cut(rest, "/")
		claim, err := s.tokens.Use(t, r.Client.Addr())
		if err != nil {
			return tftp.Answer{About: about}, fmt.Errorf("%w: %w", err, fs.ErrPermission)
		}
		about.Client, about.Machine = claim.Client, claim.Machine
		name, base = bare, s.base(r.Local)+"/b/"+t+"/"
	}
	if name == autoexecName {
		about.Fields = map[string]string{fleet.FieldFile: name}
		script := []byte{} // iPXE takes it for none, and asks DHCP
		if base != "" {
			script = ipxe.Hello(base)
		}
		return tftp.Answer{File: tftp.Bytes(script), About: about}, nil
	}
	c, err := s.loader(name, about)
	if err != nil {
		return tftp.Answer{About: c.About}, err
	}
	st, err := c.File.Stat()
	if err != nil {
		c.Close()
		return tftp.Answer{About: c.About}, err
	}
	return tftp.Answer{File: loaderFile{c.File, st.Size()}, About: c.About}, nil
}

// loaderFile is a file as TFTP sends it.
type loaderFile struct {
	*os.File
	size int64
}

func (f loaderFile) Size() int64 { return f.size }
