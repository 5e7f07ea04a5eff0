package node

import (
	"encoding/json"
	"fmt"
)

// ConfigPath is where a Config lies in the initramfs, beside that of the guest
// helper; ProgramPath is slipway, which the kernel starts by that name
// (rdinit=) and which recognizes it.
const (
	ConfigPath  = "slipway/node.json"
	ProgramPath = "/slipway:node"
)

// Words of the kernel's command line.
const (
	WordServer = "slipway.node" // address of the server, with the token: http://192.0.2.1/n/TOKEN/
	WordDo     = "slipway.do"   // what was chosen in a menu: rescue
	WordErase  = "slipway.erase"
	// WordProve is the address at which the system proves itself that the kernel
	// belongs to, with a token for that alone; WordVersion is its version.
	WordProve   = "slipway.prove"
	WordVersion = "slipway.version"
)

// NeedsMemory is what the program needs beside what it fetches, in bytes.
const NeedsMemory = 256 << 20

// Config is what the program knows before it asks anybody.
type Config struct {
	Version int    `json:"version"`
	Key     string `json:"key"`              // public key of the server, see EncodeKey
	Server  string `json:"server,omitempty"` // unless the command line names one
	IP      string `json:"ip,omitempty"`     // as the kernel's ip=, unless the command line has one
	// Offline is what a recovery stick does, with no server at all.
	Offline *Offline `json:"offline,omitempty"`
}

// Offline is an installation from a stick.
type Offline struct {
	Order Order  `json:"order"`
	Label string `json:"label"` // name of the partition with the image's data, piece after piece
	Erase bool   `json:"erase,omitempty"`
}

const configVersion = 1

// Encode returns the bytes of the file.
func (c Config) Encode() ([]byte, error) {
	c.Version = configVersion
	return json.MarshalIndent(c, "", "\t")
}

// DecodeConfig reads the bytes of the file.
func DecodeConfig(data []byte) (*Config, error) {
	c := new(Config)
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("reading /%s: %w", ConfigPath, err)
	}
	if c.Version != configVersion {
		return nil, fmt.Errorf("/%s has version %d, this program knows %d", ConfigPath, c.Version, configVersion)
	}
	return c, nil
}
