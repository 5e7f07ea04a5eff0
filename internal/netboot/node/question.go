package node

import "time"

// Question is what a machine tells when it asks what to do.
type Question struct {
	Nonce    string    `json:"nonce"`
	Hardware *Hardware `json:"hardware"`
	Marks    []Mark    `json:"marks,omitempty"` // found on its disks
	// Tried is why the order before this one failed, for a machine that asks
	// again.
	Tried string `json:"tried,omitempty"`
	// Want is what somebody chose in the loader's menu: rescue. The server
	// decides.
	Want string `json:"want,omitempty"`
	// Started is the version of the root that the machine's kernel belongs to,
	// where its loader was told of one.
	Started string `json:"started,omitempty"`
}

// Mark is what the installer leaves on a disk that it has written, read back
// and found good: the grant that allowed it.
type Mark struct {
	Machine string    `json:"machine"`
	Grant   string    `json:"grant"`
	Version string    `json:"version,omitempty"`
	Time    time.Time `json:"time"`
	Disk    string    `json:"disk,omitempty"`   // path, where it was found
	Serial  string    `json:"serial,omitempty"` // of that disk
}

// Report is one thing that a machine says of its work.
type Report struct {
	Stage   string `json:"stage,omitempty"`   // of the fleet's stages
	Text    string `json:"text,omitempty"`    // one line for people
	Problem string `json:"problem,omitempty"` // what is wrong; empty: nothing
	Bytes   int64  `json:"bytes,omitempty"`   // done so far
	Total   int64  `json:"total,omitempty"`   // of how many
	// Installed is the mark of a disk that is finished: evidence.
	Installed *Mark `json:"installed,omitempty"`
	// Proven is the version that proved itself: evidence.
	Proven string `json:"proven,omitempty"`
	// Probe is the name of a probe whose result this is.
	Probe  string            `json:"probe,omitempty"`
	Fields map[string]string `json:"fields,omitempty"`
}
