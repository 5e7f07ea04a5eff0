package node

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"slipway/internal/fleet"
)

// What an order tells a machine to do.
const (
	DoRAM       = "ram"
	DoInstall   = "install"
	DoKexec     = "kexec"
	DoInventory = "inventory"
	DoRescue    = "rescue"
	DoDisk      = "disk"
)

// Order is what a machine is told to do. Only what a key signed that the
// machine was started with is obeyed, and only as the answer to the question
// that it has just asked: Nonce is the question's.
type Order struct {
	Machine string    `json:"machine"` // empty: unknown to the server
	Do      string    `json:"do"`
	Why     string    `json:"why,omitempty"` // for people
	Nonce   string    `json:"nonce"`
	Issued  time.Time `json:"issued"`
	Version string    `json:"version,omitempty"` // of what is started or installed

	Image   *Artefact `json:"image,omitempty"`   // root in RAM, or disk image
	Kernel  *Artefact `json:"kernel,omitempty"`  // kexec
	Initrd  *Artefact `json:"initrd,omitempty"`  // kexec
	Cmdline string    `json:"cmdline,omitempty"` // kexec
	Memory  int64     `json:"memory,omitempty"`  // bytes that the machine needs; 0: not known

	Disk  string `json:"disk,omitempty"`  // install, and ram with state: selector; empty: the only disk
	Grant string `json:"grant,omitempty"` // install: what allows it
	// OnlyEmpty allows the install on a disk alone that holds nothing known:
	// nobody granted it, the machine recovers by itself.
	OnlyEmpty bool `json:"only_empty,omitempty"`

	SSHKeys []string      `json:"ssh_keys,omitempty"` // who may log in meanwhile, as in authorized_keys
	Retry   time.Duration `json:"retry,omitempty"`    // inventory, rescue: ask again after that; 0: never
	// Prove wants the system to prove itself once it runs, see Proof.
	Prove bool `json:"prove,omitempty"`

	choice Choice // ram: of the version
	secret bool   // what it names holds secrets
}

// Artefact is a file of the server, and what its bytes are: List is the
// digest of its Chunks, which say the rest.
type Artefact struct {
	URL    string `json:"url"`    // relative to the server, or absolute
	Chunks string `json:"chunks"` // URL of the list of its pieces
	List   string `json:"list"`   // SHA-256 of that list, hexadecimal
	Size   int64  `json:"size"`   // bytes
	Kind   string `json:"kind,omitempty"`
}

// signed is an order on its way.
type signed struct {
	Order     []byte `json:"order"`
	Signature []byte `json:"signature"`
}

// domain keeps a signature of something else from being one of an order.
const domain = "slipway order 1\x00"

// Sign encodes an order with its signature.
func Sign(key ed25519.PrivateKey, o *Order) ([]byte, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	return json.Marshal(signed{text, ed25519.Sign(key, append([]byte(domain), text...))})
}

// errForged is any doubt about an order.
var errForged = errors.New("the order is not signed with the key that this system was started with: " +
	"something else answers in the server's place, or the server has a new key (then make the stick or the initrd again)")

// maxOrder bounds an order, in bytes.
const maxOrder = 1 << 20

// Verify decodes an order and checks that it is the server's answer to a
// question.
func Verify(key ed25519.PublicKey, data []byte, nonce string) (*Order, error) {
	var s signed
	if len(data) > maxOrder {
		return nil, fmt.Errorf("the order has more than %d bytes", maxOrder)
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("reading the order: %w", err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(domain), s.Order...), s.Signature) {
		return nil, because(fleet.CauseKey, errForged)
	}
	o := new(Order)
	d := json.NewDecoder(bytes.NewReader(s.Order))
	if err := d.Decode(o); err != nil {
		return nil, fmt.Errorf("reading the order: %w", err)
	}
	if nonce == "" || o.Nonce != nonce {
		return nil, because(fleet.CauseKey, errors.New("the order answers another question than ours: it is an old one that somebody sent again"))
	}
	return o, nil
}
