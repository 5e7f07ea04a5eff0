package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"slipway/internal/image"
	"slipway/internal/image/vfat"
	"slipway/internal/machine"
	"slipway/internal/tree"
)

// Input is what of a seed is not in the definition.
type Input struct {
	Hostname string
	Instance string             // what is done once is done again when it changes
	Key      string             // public ssh key that is let in, a line of authorized_keys; may be ""
	HostKey  HostKey            // may be empty: the machine makes its own
	Report   string             // address that is told when all is done; may be ""
	MACs     []net.HardwareAddr // of the network cards
}

// HostKey is the ed25519 key by which the machine's ssh server is known.
type HostKey struct {
	Private string // PEM, "OPENSSH PRIVATE KEY"
	Public  string // a line of ssh_host_ed25519_key.pub
}

// Seed is the content of a NoCloud data source.
type Seed struct {
	MetaData, UserData, NetworkConfig []byte
}

// NewSeed renders a definition.
func NewSeed(d *machine.Definition, in Input) (*Seed, error) {
	s := &Seed{}
	var err error
	if s.UserData, err = render(d, in); err != nil {
		return nil, err
	}
	if s.NetworkConfig, err = Network(d, in.MACs); err != nil {
		return nil, fmt.Errorf("rendering the network configuration: %w", err)
	}
	s.MetaData, err = json.MarshalIndent(map[string]string{"instance-id": in.Instance, "local-hostname": in.Hostname}, "", "  ")
	return s, err
}

// Label is the name by which cloud-init finds a seed.
const Label = "CIDATA"

// Volume lays a seed out as a file system.
func (s *Seed) Volume(ctx context.Context) (image.Volume, error) {
	content := tree.Bytes{}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}}}
	for _, f := range []struct {
		name string
		data []byte
	}{{"meta-data", s.MetaData}, {"network-config", s.NetworkConfig}, {"user-data", s.UserData}} {
		m.Entries = append(m.Entries, tree.Entry{Path: f.name, Type: tree.File, Mode: 0o644, Size: int64(len(f.data)), Digest: content.Add(f.data)})
	}
	return vfat.Plan(ctx, m, content, image.VolumeOptions{Label: Label, UUID: [16]byte{'s', 'e', 'e', 'd'}, Free: 64 << 10})
}
