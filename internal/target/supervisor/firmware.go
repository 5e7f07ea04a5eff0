package supervisor

// IsFirmware tells whether a target is a firmware that starts the machine from
// its disk, through a loader.
func IsFirmware(target string) bool { return target == "uefi" || target == "bios" || target == "uboot" }
