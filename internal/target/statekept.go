package target

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/target/supervisor"
)

// stateElsewhere tells that a machine starts with fresh `state:` although some
// was kept of it on another kind of target: containers keep folders, virtual
// machines a disk, and neither sees the other's; and that one in memory keeps
// nothing. Empty: there is nothing to say.
func stateElsewhere(spec *supervisor.Spec) string {
	if len(spec.Definition.State) == 0 {
		return ""
	}
	n := spec.Definition.Netboot
	if spec.Target == "ram" || spec.Target == "netboot" && (n == nil || n.RAM() && n.Disk == "") {
		return spec.Name + " is in memory alone: what its `state:` names ends with it; on vm, uefi, bios and container it is kept"
	}
	entries, err := os.ReadDir(spec.StateDir)
	if err != nil {
		return "" // nothing was kept yet
	}
	folders, disk := false, false
	for _, e := range entries {
		switch {
		case e.Name() == ".disk.raw":
			disk = true
		case !strings.HasPrefix(e.Name(), "."):
			folders = true
		}
	}
	const text = "%s begins with what was built in its `state:`: what it kept %s, in %s, stays there and is not seen here; copy what you need with `slipway cp`"
	switch container := spec.Target == "container"; {
	case container && disk && !folders:
		return fmt.Sprintf(text, spec.Name, "as a virtual machine", filepath.Join(spec.StateDir, ".disk.raw"))
	case !container && folders && !disk:
		return fmt.Sprintf(text, spec.Name, "as a container", spec.StateDir)
	}
	return ""
}
