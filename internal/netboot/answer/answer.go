package answer

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"slipway/internal/machine"
)

// Kind is a format of answers.
type Kind string

// The formats.
const (
	Kickstart   Kind = "kickstart"   // Anaconda: Alma, Rocky, Fedora
	Preseed     Kind = "preseed"     // debian-installer
	Autoinstall Kind = "autoinstall" // Subiquity: Ubuntu
	NoCloud     Kind = "nocloud"     // cloud-init
	Ignition    Kind = "ignition"    // Fedora CoreOS, Flatcar
	Alpine      Kind = "alpine"      // setup-alpine, in a diskless system
)

// Kinds lists all formats.
var Kinds = []Kind{Kickstart, Preseed, Autoinstall, NoCloud, Ignition, Alpine}

// Facts is what of an answer is not in the definition. Addresses that are empty
// are left out of the answer.
type Facts struct {
	MACs []net.HardwareAddr // of the machine's cards; the one that boots first
	// Base is the address below which the files of Render are served to this
	// machine alone; it ends with a slash.
	Base string
	// Report is told what the installer does: "stage" and "text" are added to
	// it as a query.
	Report string
	// Logs takes the logs of a finished or failed installer by POST, their
	// name added as a query ("name").
	Logs string
	// Syslog is the host:port that takes syslog over UDP while it installs.
	Syslog string
	// Disk is the disk to install on: a path below /dev/disk/by-path or by-id,
	// another device, or serial:NUMBER. It is required by what writes disks.
	Disk string
	// Mirror replaces the archive during the installation, not in the machine;
	// security is off while it is used.
	Mirror string
	// Keyboard is a layout; "" stands for us.
	Keyboard string
	// Image is the installer's own further file: the root of Anaconda
	// (stage2), the live ISO, CoreOS's rootfs, Alpine's modloop.
	Image string
	// Instance names the installation for cloud-init; "" stands for the
	// machine's name.
	Instance string
	// Args are further words of the installer's command line.
	Args []string
}

// File is one file of an answer.
type File struct {
	Name   string // below Facts.Base
	Type   string // media type
	Data   []byte
	Secret bool // it holds what must not be kept or shown
}

// renderers is the table of formats.
var renderers = map[Kind]func(*machine.Definition, Facts) ([]File, error){
	Kickstart: kickstart, Preseed: preseed, Autoinstall: autoinstall, NoCloud: nocloud, Ignition: ignition, Alpine: alpine,
}

// Render writes the answer files of a machine, the first one being the one that
// the installer asks for. The error is of type machine.Problems where the
// definition asks for what the format cannot say.
func Render(kind Kind, d *machine.Definition, f Facts) ([]File, error) {
	render, ok := renderers[kind]
	if !ok {
		return nil, fmt.Errorf("there is no format of answers %q; there are %s", kind, strings.Join(kindNames(), ", "))
	}
	if f.Base != "" && !strings.HasSuffix(f.Base, "/") {
		return nil, fmt.Errorf("rendering %s for %s: the base address %s does not end with a slash", kind, d.Name, f.Base)
	}
	files, err := render(d, f)
	if err == nil && f.Base == "" && len(files) > 1 && kind != NoCloud {
		return nil, fmt.Errorf("rendering %s for %s: it consists of %d files, and no base address is known", kind, d.Name, len(files))
	}
	return files, err
}

func kindNames() []string {
	var out []string
	for _, k := range Kinds {
		out = append(out, string(k))
	}
	return out
}

// Name is the file that the installer asks for, below Facts.Base.
func (k Kind) Name() string {
	switch k {
	case Kickstart:
		return "ks.cfg"
	case Preseed:
		return "preseed.cfg"
	case Ignition:
		return "config.ign"
	case Alpine:
		return "apkovl.tar.gz"
	}
	return "user-data"
}

// KindFor is the format that a system's own installer takes, "" if there is
// none.
func KindFor(d *machine.Definition) Kind {
	switch d.Distribution() {
	case "debian":
		return Preseed
	case "ubuntu":
		return Autoinstall
	case "alma", "rocky", "fedora":
		return Kickstart
	case "alpine":
		return Alpine
	}
	return ""
}

func hostname(d *machine.Definition) string { return or(d.Hostname, d.Name) }

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// has tells whether a service is to be started.
func has(list []string, names ...string) bool {
	for _, n := range names {
		if slices.Contains(list, n) || slices.Contains(list, n+".service") {
			return true
		}
	}
	return false
}
