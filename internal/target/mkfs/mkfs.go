// Package mkfs makes the file systems that slipway does not write itself, xfs
// and btrfs, without root: in a small virtual machine, where the kernel of the
// distribution writes what its own mkfs has begun.
//
//	m := mkfs.New(mkfs.Deps{Tools: t, TempDir: s.TempDir})
//	v, err := m.Plan(ctx, "btrfs", manifest, content, image.VolumeOptions{Free: 256 << 20})
//	err = v.Write(ctx, w)
//
// The machine's only program is slipway itself (see guest.go): it receives the
// tree on a second disk, unpacks it, mounts what it has written a second time
// and sends back what lies there. Unless that is the same tree to the last
// attribute, there is no volume. Its kernel and mkfs come from the tools tree.
//
// That is the promise: an equal tree, not equal bytes. Kernel and mkfs put
// times and random identifiers of their own into what they write.
//
// A volume is made when it is first written, and kept in an unnamed temporary
// file; a Maker that is asked for the same again gives the same volume.
package mkfs

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"slipway/internal/image"
	"slipway/internal/progress"
	"slipway/internal/target/qemu"
	"slipway/internal/tree"
)

// Tools gives QEMU, and the folder of the set "mkfs"; *tools.Tools is one.
type Tools interface {
	qemu.Programs
	Root(ctx context.Context, set string) (string, error)
}

// Deps is what a Maker needs.
type Deps struct {
	Tools Tools
	// TempDir makes a folder with room for the tree and for the volume.
	TempDir  func(prefix string) (string, error)
	Memo     string             // folder where it is remembered how machines run here; "": nowhere
	Accel    *qemu.Accel        // how machines run; nil: found out
	Progress *progress.Reporter // may be nil
	// Program is what runs in the machine; default: this very program.
	Program string
}

// Maker makes volumes. It is safe for parallel use.
type Maker struct {
	d Deps

	mu    sync.Mutex
	known map[string]*volume
	order []string // of known, the oldest first
}

// New readies a Maker. Nothing is looked at before it is needed.
func New(d Deps) *Maker {
	if d.Program == "" {
		d.Program = "/proc/self/exe"
	}
	return &Maker{d: d, known: map[string]*volume{}}
}

// remembered is how many volumes are kept. Only those that are written take
// room, which is given back when nobody holds them any more.
const remembered = 4

// Plan decides a volume's size, and refuses what cannot be. It is a
// boot.Planner. With a size of 0 the volume has what the tree needs, and room:
// what lies unused in it takes none in the image.
func (m *Maker) Plan(ctx context.Context, filesystem string, t *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	f, ok := filesystems[filesystem]
	if !ok {
		return nil, fmt.Errorf("no file system is called %q; a virtual machine makes %s", filesystem, strings.Join(sortedNames(), " and "))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := &request{fs: f, opt: opt, content: c}
	if err := r.prepare(t); err != nil {
		return nil, fmt.Errorf("laying out a %s: %w", filesystem, err)
	}
	return m.once(r), nil
}

// once is the volume that was planned before for the same, or a new one.
func (m *Maker) once(r *request) *volume {
	key := r.key()
	m.mu.Lock()
	defer m.mu.Unlock()
	if v := m.known[key]; v != nil {
		return v
	}
	v := &volume{maker: m, request: r}
	m.known[key] = v
	if m.order = append(m.order, key); len(m.order) > remembered {
		delete(m.known, m.order[0])
		m.order = m.order[1:]
	}
	return v
}

// uuid is an identifier as mkfs takes it.
func uuid(id [16]byte) string {
	h := hex.EncodeToString(id[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
