package export

// devices of a domain. There are no graphics.
type devices struct {
	Disks       []diskDevice `xml:"disk"`
	Controllers []controller `xml:"controller"`
	Filesystems []filesystem `xml:"filesystem"`
	Interfaces  []netDevice  `xml:"interface"`
	Serial      serial       `xml:"serial"`
	Console     console      `xml:"console"`
	Channel     channel      `xml:"channel"`
	TPM         *tpm         `xml:"tpm"`
	RNG         rng          `xml:"rng"`
}

type diskDevice struct {
	Type     string     `xml:"type,attr"` // file or block
	Device   string     `xml:"device,attr"`
	Driver   diskDriver `xml:"driver"`
	Source   diskSource `xml:"source"`
	BlockIO  *blockIO   `xml:"blockio"`
	Target   diskTarget `xml:"target"`
	ReadOnly *struct{}  `xml:"readonly"`
	Serial   string     `xml:"serial,omitempty"`
	Address  *address   `xml:"address"`
}

type diskDriver struct {
	Name    string `xml:"name,attr"`
	Type    string `xml:"type,attr"`
	Discard string `xml:"discard,attr,omitempty"`
}

type diskSource struct {
	File string `xml:"file,attr,omitempty"`
	Dev  string `xml:"dev,attr,omitempty"`
}

type diskTarget struct {
	Dev string `xml:"dev,attr"`
	Bus string `xml:"bus,attr"`
}

type blockIO struct {
	Logical  int `xml:"logical_block_size,attr"`
	Physical int `xml:"physical_block_size,attr"`
}

// address is a place on the first PCI bus.
type address struct {
	Type          string `xml:"type,attr"`
	Domain        string `xml:"domain,attr"`
	Bus           string `xml:"bus,attr"`
	Slot          string `xml:"slot,attr"`
	Function      string `xml:"function,attr"`
	MultiFunction string `xml:"multifunction,attr,omitempty"`
}

type controller struct {
	Type  string `xml:"type,attr"`
	Index int    `xml:"index,attr"`
	Model string `xml:"model,attr"`
}

type filesystem struct {
	Type       string    `xml:"type,attr"`
	AccessMode string    `xml:"accessmode,attr"`
	Driver     typed     `xml:"driver"`
	Source     fsSource  `xml:"source"`
	Target     fsTarget  `xml:"target"`
	ReadOnly   *struct{} `xml:"readonly"`
}

type fsSource struct {
	Dir string `xml:"dir,attr"`
}

type fsTarget struct {
	Tag string `xml:"dir,attr"`
}

type netDevice struct {
	Type    string    `xml:"type,attr"` // bridge or network
	MAC     mac       `xml:"mac"`
	Source  netSource `xml:"source"`
	Model   typed     `xml:"model"`
	Address *address  `xml:"address"`
}

type mac struct {
	Address string `xml:"address,attr"`
}

type netSource struct {
	Bridge  string `xml:"bridge,attr,omitempty"`
	Network string `xml:"network,attr,omitempty"`
}

type serial struct {
	Type   string     `xml:"type,attr"`
	Target portNumber `xml:"target"`
}

type console struct {
	Type   string        `xml:"type,attr"`
	Target consoleTarget `xml:"target"`
}

type portNumber struct {
	Port int `xml:"port,attr"`
}

type consoleTarget struct {
	Type string `xml:"type,attr"`
	Port int    `xml:"port,attr"`
}

// channel is a port of a virtio console.
type channel struct {
	Type   string        `xml:"type,attr"`
	Target channelTarget `xml:"target"`
}

type channelTarget struct {
	Type string `xml:"type,attr"`
	Name string `xml:"name,attr"`
}

type tpm struct {
	Model   string     `xml:"model,attr"`
	Backend tpmBackend `xml:"backend"`
}

type tpmBackend struct {
	Type    string `xml:"type,attr"`
	Version string `xml:"version,attr"`
}

type rng struct {
	Model   string     `xml:"model,attr"`
	Backend rngBackend `xml:"backend"`
}

type rngBackend struct {
	Model string `xml:"model,attr"`
	Path  string `xml:",chardata"`
}

type typed struct {
	Type string `xml:"type,attr"`
}
