package bootfiles

// StateMount is where the file system is mounted that keeps what `state:` names;
// each folder is there by its path in the machine.
const StateMount = "/var/lib/slipway/state"

// State is what of a machine in RAM is kept on a disk.
type State struct {
	// Device is the partition, as root= names one. Who chooses the disk writes
	// it, before the helper is started.
	Device  string       `json:"device,omitempty"`
	Folders []KeptFolder `json:"folders"`
}

// KeptFolder is one of the folders.
type KeptFolder struct {
	Path string `json:"path"` // as the definition names it
	At   string `json:"at"`   // where that is in the machine, past symbolic links
}
