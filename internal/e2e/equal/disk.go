package equal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"slipway/internal/sandbox"
	"slipway/internal/tree"
)

const diskWorker = "equal-disk"

func init() { sandbox.Register(diskWorker, scanLayers) }

// layers are the folders of a built tree, top first, and where to mount them.
type layers struct {
	Dirs   []string
	Target string
}

// OnDisk reads the tree as a machine would see it: its layers mounted over
// each other, with the owners that they have inside. Device nodes are not there.
func (y *Shipyard) OnDisk(ctx context.Context, dirs []string) (*tree.Manifest, error) {
	target, err := os.MkdirTemp(y.dir, "mount-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(target, 0o755); err != nil {
		return nil, err
	}
	p, err := y.builder.Host.Start(ctx, diskWorker, layers{Dirs: dirs, Target: target})
	if err != nil {
		return nil, err
	}
	var encoded []byte
	for raw := range p.Events() {
		if err := json.Unmarshal(raw, &encoded); err != nil {
			return nil, fmt.Errorf("reading what is on the disk: %w", err)
		}
	}
	if err := p.Wait(); err != nil {
		return nil, err
	}
	return tree.Decode(bytes.NewReader(encoded))
}

func scanLayers(ctx context.Context, w *sandbox.Worker) error {
	var l layers
	if err := w.Args(&l); err != nil {
		return err
	}
	if err := sandbox.MountTmpfs(l.Target, 0, 0o755); err != nil {
		return err
	}
	upper, work, root := l.Target+"/upper", l.Target+"/work", l.Target+"/root"
	for _, dir := range []string{upper, work, root} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	if err := sandbox.MountOverlay(l.Dirs, upper, work, root); err != nil {
		return err
	}
	m, err := tree.Scan(ctx, root, tree.ScanOptions{})
	if err != nil {
		return err
	}
	var encoded bytes.Buffer // as JSON a manifest would lose bytes of attributes
	if err := m.Encode(&encoded); err != nil {
		return err
	}
	return w.Emit(encoded.Bytes())
}
