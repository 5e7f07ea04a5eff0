package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/image"
	"slipway/internal/image/formats"
	"slipway/internal/trace"
)

// CheckOutput refuses an output that could not be written, before anything is
// built for it. An empty name is no output.
func CheckOutput(out string) error {
	if out == "" {
		return nil
	}
	if err := formats.Check(out); err != nil {
		return err
	}
	if formats.IsDir(out) && os.Geteuid() != 0 {
		return fmt.Errorf("writing %s: a folder has the machine's real owners, which only root may give; write a .tar instead, or run as root", out)
	}
	parent := filepath.Dir(filepath.Clean(out))
	if st, err := os.Stat(parent); err != nil {
		return fmt.Errorf("writing %s: %w", out, err)
	} else if !st.IsDir() {
		return fmt.Errorf("writing %s: %s is no folder", out, parent)
	}
	return nil
}

// Export writes a built machine as an image, with its checksum and its package
// manifest beside it.
func (b *Builder) Export(ctx context.Context, r *Result, out string) (err error) {
	defer trace.Region("write image")()
	step := b.Progress.Step("write " + filepath.Base(strings.TrimRight(out, "/")))
	defer func() { step.Done(err) }()
	layer, err := b.Store.Layer(r.Key)
	if err != nil {
		return err
	}
	m, err := layer.Manifest()
	if err != nil {
		return err
	}
	opt := image.Options{Epoch: r.Prepared.Lock.Date.Unix(), Arch: r.Prepared.Definition.Arch, Private: layer.Meta().Kind == "secrets"}
	if formats.Bootable(out) {
		err = b.exportBootable(ctx, r, out, opt.Private)
	} else {
		err = formats.Build(ctx, out, m, layer.Content(), opt)
	}
	if err != nil {
		return err
	}
	bill, err := billOfMaterials(r)
	if err != nil {
		return err
	}
	if err := image.ReplaceFile(filepath.Clean(out)+".spdx.json", bill); err != nil {
		return err
	}
	return b.Store.Log("image", map[string]any{"machine": r.Prepared.Definition.Name, "key": r.Key, "output": out})
}
