package cloud

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"

	"slipway/internal/build"
	"slipway/internal/image"
	"slipway/internal/image/qcow2"
	"slipway/internal/machine"
	"slipway/internal/target/qemu"
	"slipway/internal/target/sshway"
)

// Stock is a stock image with its seed, ready to be started.
type Stock struct {
	Key    string // changes when the image or the seed would be another
	Disk   string // the image, which is not written to
	Format string // raw or qcow2
	Size   int64  // of the disk, as the machine is to see it
	Seed   string // a raw disk
	// HostKey is the public key that the machine's ssh server has.
	HostKey ssh.PublicKey
}

// roomy is the size of a disk that the definition leaves open; cloud-init grows
// the root into it.
const roomy = 8 << 30

// Prepare finds the image of a definition and makes the seed for a machine of
// the given name, both kept in the store. The same inputs find the same seed.
func Prepare(ctx context.Context, b *build.Builder, d *machine.Definition, name string, keys sshway.Dir) (*Stock, error) {
	path, err := b.From(ctx, d.From)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.At("from"), err)
	}
	s := &Stock{Disk: path}
	if s.Format, s.Size, err = look(path); err != nil {
		return nil, fmt.Errorf("%s: %w", d.At("from"), err)
	}
	if want := int64(d.Disk.Size); want != 0 && want < s.Size {
		return nil, fmt.Errorf("%s: the image is a disk of %d MiB: it cannot be smaller", d.At("disk.size"), s.Size>>20)
	} else if want != 0 {
		s.Size = want
	} else {
		s.Size = max(s.Size, roomy)
	}
	pair, err := keys.Key()
	if err != nil {
		return nil, err
	}
	in := Input{Hostname: hostname(d, name), Key: pair.Public, MACs: cards(d, name)}
	if s.Key, err = key(d, path, in); err != nil {
		return nil, err
	}
	in.Instance = "slipway-" + s.Key[:16]
	return s, s.seed(ctx, b, d, in)
}

func hostname(d *machine.Definition, name string) string {
	if d.Hostname != "" {
		return d.Hostname
	}
	return name
}

// cards are the hardware addresses that the machine's cards will have.
func cards(d *machine.Definition, name string) []net.HardwareAddr {
	nics := d.VM.NICs
	if len(nics) == 0 {
		nics = []machine.NIC{{}}
	}
	var out []net.HardwareAddr
	for i, n := range nics {
		mac, err := net.ParseMAC(n.MAC)
		if err != nil {
			mac = qemu.MAC(name, i)
		}
		out = append(out, mac)
	}
	return out
}

// look tells what an image is. One that shows another file through is refused:
// an image from elsewhere could name any file of this host.
func look(path string) (format string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", 0, err
	}
	if !st.Mode().IsRegular() {
		return "", 0, fmt.Errorf("%s is no file", path)
	}
	img, err := qcow2.Open(f, st.Size())
	switch {
	case errors.Is(err, qcow2.ErrNoImage):
	case err != nil:
		return "", 0, fmt.Errorf("%s: %w", path, err)
	case img.Backing != "":
		return "", 0, fmt.Errorf("%s is not whole: it lies over %s; join them with qemu-img convert", path, img.Backing)
	default:
		return "qcow2", img.Size(), nil
	}
	head := make([]byte, 512)
	if _, err := io.ReadFull(f, head); err != nil || head[510] != 0x55 || head[511] != 0xaa {
		return "", 0, fmt.Errorf("%s is neither a qcow2 image nor a raw disk with a partition table; unpack it first if it is compressed", path)
	}
	return "raw", st.Size(), nil
}

// key covers the image and everything that the seed is made of but the host
// key, which is random and lasts as long as the seed.
func key(d *machine.Definition, path string, in Input) (string, error) {
	seed, err := NewSeed(d, in)
	if err != nil {
		return "", err
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, v := range []any{"cloud 1", seed, d.From.SHA256, path, st.Size(), st.ModTime().UnixNano()} {
		if err := enc.Encode(v); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// The files of a seed in the store.
const (
	seedFile    = "seed.raw"
	hostKeyFile = "ssh_host_ed25519_key.pub"
	baseFile    = "base"
)

// seed finds the seed in the store, or makes it.
func (s *Stock) seed(ctx context.Context, b *build.Builder, d *machine.Definition, in Input) error {
	unlock, err := b.Store.Lock("image-"+s.Key[:16], true)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.stored(b); !errors.Is(err, errNoSeed) {
		return err
	}
	stage, err := b.Store.TempDir("seed")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	if err := s.make(ctx, stage, d, in); err != nil {
		return fmt.Errorf("making the seed of %s: %w", d.Name, err)
	}
	if err := b.Store.CommitImage(s.Key, stage); err != nil {
		return err
	}
	return s.stored(b)
}

var errNoSeed = errors.New("there is no seed")

func (s *Stock) stored(b *build.Builder) error {
	dir, ok := b.Store.Image(s.Key)
	if !ok {
		return errNoSeed
	}
	data, err := os.ReadFile(filepath.Join(dir, hostKeyFile))
	if err != nil {
		return fmt.Errorf("reading the host key of the seed: %w", err)
	}
	if s.HostKey, _, _, _, err = ssh.ParseAuthorizedKey(data); err != nil {
		return fmt.Errorf("reading the host key of the seed: %w", err)
	}
	s.Seed = filepath.Join(dir, seedFile)
	if base := filepath.Join(dir, baseFile); exists(base) {
		s.Disk = base
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// make writes a seed into a folder.
func (s *Stock) make(ctx context.Context, dir string, d *machine.Definition, in Input) error {
	var err error
	if in.HostKey, err = newHostKey(); err != nil {
		return err
	}
	seed, err := NewSeed(d, in)
	if err != nil {
		return err
	}
	v, err := seed.Volume(ctx)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(dir, seedFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := image.Sparse(ctx, f, v); err != nil {
		return err
	}
	if d.From.URL != "" { // it must not go while the machine runs; without links it may
		_ = os.Link(s.Disk, filepath.Join(dir, baseFile))
	}
	return errors.Join(f.Close(), os.WriteFile(filepath.Join(dir, hostKeyFile), []byte(in.HostKey.Public+"\n"), 0o600))
}

func newHostKey() (HostKey, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return HostKey{}, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return HostKey{}, err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return HostKey{}, err
	}
	return HostKey{Private: string(pem.EncodeToMemory(block)), Public: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line)))}, nil
}
