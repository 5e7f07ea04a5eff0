package boot

import (
	"context"
	"fmt"
	"io"
	"strings"

	"slipway/internal/image"
	"slipway/internal/image/cpio"
	"slipway/internal/tree"
)

// ramInit makes a root of almost nothing: the program that is init, and the
// files of the definition. The packages of the machine give the kernel alone.
func (a *assembly) ramInit(k *booted) error {
	init := strings.TrimPrefix(a.Definition.Init, "/")
	if init == a.Definition.Init {
		return fmt.Errorf("a root of the init program alone (boot.ram: init) needs to know it: give the key init its path")
	}
	a.whole = a.only(init)
	if a.whole.Lookup(init) == nil {
		return fmt.Errorf("the init program /%s is not in the machine: add it with files", init)
	}
	first, err := a.makeInitrd(k, a.ramSet(k))
	if err != nil {
		return err
	}
	if first == nil {
		return fmt.Errorf("a root in RAM needs slipway's initramfs: leave boot.initramfs away")
	}
	whole, content := a.whole, tree.Contents{a.root.content, a.Content}
	a.result.Initrd = &Payload{Size: -1, Write: func(ctx context.Context, out io.Writer) error {
		if err := (cpio.Writer{}).Write(ctx, out, whole, content, image.Options{Epoch: a.Epoch}); err != nil {
			return err
		}
		_, err := out.Write(first.data)
		return err
	}}
	a.result.Memory = roundMemory(ramKernel/2 + 2*unpacked(whole) + 4*first.size())
	return nil
}

// only is the tree without all but the init program, the definition's files,
// and the folders that they are in.
func (a *assembly) only(init string) *tree.Manifest {
	wanted := map[string]bool{".": true}
	var folders []string
	add := func(name string) {
		for name = strings.Trim(name, "/"); name != "." && name != ""; name = tree.Parent(name) {
			wanted[name] = true
		}
	}
	add(init)
	for _, f := range a.Definition.Files {
		add(f.Path)
		if strings.HasSuffix(f.Path, "/") || f.From != nil {
			folders = append(folders, strings.Trim(f.Path, "/")+"/")
		}
	}
	out := &tree.Manifest{}
	for _, e := range a.Manifest.Entries {
		keep := wanted[e.Path]
		for _, dir := range folders {
			keep = keep || strings.HasPrefix(e.Path, dir)
		}
		if keep {
			out.Entries = append(out.Entries, e)
		}
	}
	relink(out)
	return out
}
