package netboot

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"strings"

	"slipway/internal/fleet"
	"slipway/internal/machine"
	answers "slipway/internal/netboot/answer"
	boothttp "slipway/internal/netboot/http"
	"slipway/internal/netboot/ipxe"
)

// installerName is before the names of an installer's answers, below /b/TOKEN/.
const installerName = "i/"

// reportName is what an installer asks for to tell how it gets on.
const reportName = "report"

// foreign starts the distribution's own installer. It is let start once in a
// grant's life: whether it wrote to the disk cannot be seen from here, and a
// report that was lost must not install a machine again.
func (a *answer) foreign(ctx context.Context, d *machine.Definition) []byte {
	kind, _ := answers.Wanted(d)
	i := d.Netboot.Installer
	if i.Kernel == nil || i.Kernel.File == "" || i.Initrd.File == "" {
		return a.stop(a.m.Name+": netboot.installer names no kernel and initrd of this server", "Give the paths of both.")
	}
	facts := a.s.installerFacts(d, a.call, a.m, a.base)
	plain := facts
	plain.MACs = nil // the script names the card that booted
	line, err := answers.BootArgs(kind, d, plain, answers.IPXE)
	if err == nil {
		_, err = answers.Render(kind, d, facts) // before anything is begun
	}
	if err != nil {
		return a.stop(append([]string{a.m.Name + ": its installer cannot be answered."}, strings.Split(err.Error(), "\n")...)...)
	}
	_, first, err := a.s.Fleet.Use(ctx, a.m.Name, a.call.Claim.Client)
	if err != nil {
		return a.stop("the server cannot keep its grants: " + err.Error())
	}
	if !first {
		return ipxe.Disk(a.m.Name, " (its installer was started before; slipway reinstall "+a.m.Name+" starts it again)")
	}
	return a.start(&System{Version: "installer", Kernel: i.Kernel.File, Initrd: i.Initrd.File, Cmdline: line}, nil, "is installed by its distribution's installer", "")
}

// installerFacts are those of a boot.
func (s *Server) installerFacts(d *machine.Definition, c boothttp.Call, m *Machine, base string) answers.Facts {
	own, word := s.base(c.Local), s.tellToken(c, m, 0)
	f := answers.Facts{Base: base + installerName, Report: own + "/b/" + word + "/" + installerName + reportName}.From(d)
	if s.Logs != nil {
		f.Logs = own + "/n/" + word + "/" + logsName
	}
	if s.SyslogPort != 0 {
		f.Syslog = net.JoinHostPort(s.host(c.Local), strconv.Itoa(s.SyslogPort))
	}
	if mac, err := net.ParseMAC(c.Claim.Client); err == nil {
		f.MACs = []net.HardwareAddr{mac}
	}
	return f
}

// installer gives an installer its answer, or hears how it gets on. Only a
// machine whose installer was let start gets one.
func (s *Server) installer(ctx context.Context, c boothttp.Call, base string, about fleet.Event) (boothttp.Content, error) {
	name := strings.TrimPrefix(c.Name, installerName)
	about.Stage = fleet.StageInstall
	about.Fields = map[string]string{fleet.FieldFile: name}
	denied := func(why string) (boothttp.Content, error) {
		return boothttp.Content{About: about}, fmt.Errorf("%s: %s: %w", name, why, fs.ErrPermission)
	}
	says, err := answers.ParseClient(c.Request.Header)
	if err != nil {
		return denied(err.Error())
	}
	if own, err := net.ParseMAC(c.Claim.Client); err == nil && len(says.Cards) > 0 && !says.Has(own) {
		return denied("its installer has other network cards than the machine that was given this address")
	}
	m := s.roster().Named(s.toldMachine(c))
	if m == nil {
		return denied("no definition matches this machine")
	}
	about.Machine = m.Name
	g, err := s.Fleet.Grant(ctx, m.Name)
	if err != nil || g.State != fleet.InUse || g.Client != c.Claim.Client {
		return denied("this machine is not being installed")
	}
	if name == reportName {
		return s.installerReport(ctx, c, m, g, about)
	}
	d, err := m.Definition()
	if err != nil {
		return boothttp.Content{About: about}, err
	}
	kind, ok := answers.Wanted(d)
	if !ok {
		return denied("its definition asks for no installer")
	}
	files, err := answers.Render(kind, d, s.installerFacts(d, c, m, base))
	if err != nil {
		return boothttp.Content{About: about}, err
	}
	for _, f := range files {
		if f.Name == name {
			return boothttp.Content{Bytes: f.Data, Name: name, Type: f.Type, Secret: f.Secret, About: about}, nil
		}
	}
	return boothttp.Content{About: about}, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// reportKinds are what stages of an installer are among events.
var reportKinds = map[string]string{
	"partition": fleet.KindInstallBegin, "installed": fleet.KindInstallDone, "failed": fleet.KindInstallFail,
}

// installerReport writes down a stage; that it is installed uses up the grant.
func (s *Server) installerReport(ctx context.Context, c boothttp.Call, m *Machine, g fleet.Grant, about fleet.Event) (boothttp.Content, error) {
	q := c.Request.URL.Query()
	stage, text := oneLine(q.Get("stage")), oneLine(q.Get("text"))
	e := fleet.Event{Kind: reportKinds[stage], Client: c.Claim.Client, Machine: m.Name, Address: c.From.String(), Stage: fleet.StageInstall,
		Text: "its installer: " + stage + ": " + text, Fields: map[string]string{"installer": stage}}
	if e.Kind == "" {
		e.Kind = fleet.KindNodeReport
	}
	if stage == "failed" {
		e.Problem = text
	}
	s.Record(e)
	if stage == "installed" {
		if err := s.Fleet.Consume(ctx, m.Name, g.ID, "report"); err != nil {
			return boothttp.Content{About: about}, err
		}
	}
	return boothttp.Content{Bytes: []byte("ok\n"), Name: reportName, Type: "text/plain", About: about}, nil
}
