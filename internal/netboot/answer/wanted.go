package answer

import "slipway/internal/machine"

// Wanted is the installer that a definition asks for instead of slipway's own
// image; ok is false when it asks for none.
func Wanted(d *machine.Definition) (kind Kind, ok bool) {
	if d.Netboot == nil || d.Netboot.Installer == nil {
		return "", false
	}
	if k := d.Netboot.Installer.Kind; k != "" {
		return Kind(k), true
	}
	kind = KindFor(d)
	return kind, kind != ""
}

// From fills in the facts that the definition itself says.
func (f Facts) From(d *machine.Definition) Facts {
	if n := d.Netboot; n != nil {
		f.Disk = n.Disk
		if i := n.Installer; i != nil {
			f.Image, f.Args, f.Keyboard = i.Image, i.Args, i.Keyboard
		}
	}
	return f
}
