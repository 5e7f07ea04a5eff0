package fleet

// Suggestion is what a machine that nobody knows could become, as texts for
// people.
type Suggestion struct {
	Name          string `json:"name"`
	File          string `json:"file"`           // where its definition is saved when it is approved
	Definition    string `json:"definition"`     //
	RehearsalFile string `json:"rehearsal_file"` // a name for the next
	Rehearsal     string `json:"rehearsal"`      // beside Definition: the virtual machine has the same cards and disks
	Command       string `json:"command"`        // that rehearses it
}
