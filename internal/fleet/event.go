// Package fleet holds what is known of many machines: the events that were
// seen of them, and the records that outlive a server.
//
// It knows no protocol. Servers tell it what they saw; the page, the command
// line and the decisions of the boot server read it.
package fleet

import "time"

// Stages of a machine's way up, in their order. An event that is evidence of a
// stage names it; a stage counts when its evidence was received, never when
// something was sent.
const (
	StageFirmware = "firmware" // the first packet of a power-on
	StageDHCP     = "dhcp"     // an address was acknowledged, or a proxy's offer taken up
	StageLoader   = "loader"   // the whole loader was received
	StageScript   = "script"   // the loader asked for its script
	StageKernel   = "kernel"   // the whole kernel was received
	StageInitrd   = "initrd"   // the whole initrd was received
	StageInit     = "init"     // a program of ours ran on the machine
	StageNetwork  = "network"  // it asked for an address by itself
	StageInstall  = "install"  // an installer works on its disk
	StageLogin    = "login"    // init reached its goal
	StageService  = "service"  // its services answer
	StageProven   = "proven"   // every probe held
)

// Stages lists the names of the stages in the order in which they come.
var Stages = []string{
	StageFirmware, StageDHCP, StageLoader, StageScript, StageKernel, StageInitrd, StageInit, StageNetwork, StageInstall,
	StageLogin, StageService, StageProven,
}

// Event is one thing that was seen of a machine: a packet, a request, a report.
type Event struct {
	Time    time.Time         `json:"time"`
	Client  string            `json:"client,omitempty"`  // hardware address, lower case with colons; empty: not known
	Machine string            `json:"machine,omitempty"` // its name in the fleet; empty: unknown machine
	Address string            `json:"address,omitempty"` // IP address it spoke from
	Kind    string            `json:"kind"`              // dotted, what happened: dhcp.discover, tftp.done, http.get, node.report
	Stage   string            `json:"stage,omitempty"`   // stage that this is evidence of
	Problem string            `json:"problem,omitempty"` // what is wrong, in words; empty: nothing is
	Text    string            `json:"text,omitempty"`    // one line for people
	Bytes   int64             `json:"bytes,omitempty"`   // sent or done so far
	Total   int64             `json:"total,omitempty"`   // of how many; 0: not known
	Fields  map[string]string `json:"fields,omitempty"`  // facts, such as arch, vendor_class, file, xid
}

// Sink takes events. It is safe for use by many at once, must not wait for a
// disk or a network, and keeps nothing of the Event it is given but copies.
type Sink interface {
	Record(Event)
}

// SinkFunc is a function as a Sink.
type SinkFunc func(Event)

// Record calls the function.
func (f SinkFunc) Record(e Event) { f(e) }
