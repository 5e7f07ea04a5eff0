package ipxe

// The binaries, as Debian's package ipxe calls them. undionly and snponly use
// the firmware's own driver of the card that booted; ipxe.efi brings drivers of
// its own.
const (
	BIOS = "undionly.kpxe"
	UEFI = "snponly.efi"
	Full = "ipxe.efi"
)

// For names the binary for a processor, by Debian's word, and a firmware: bios
// or uefi. ok is false where Debian has none.
func For(cpu, firmware string) (name string, ok bool) {
	switch {
	case firmware == "bios" && (cpu == "i386" || cpu == "amd64"):
		return BIOS, true
	case firmware == "uefi" && cpu == "amd64":
		return UEFI, true
	}
	return "", false
}
