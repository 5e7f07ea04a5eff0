package boot

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"slipway/internal/bootfiles/entries"
	"slipway/internal/tree"
)

// Assemble makes a machine bootable on a target. It checks what it made: a
// loader that names a file which is not there is an error here and not at the
// first boot.
func Assemble(ctx context.Context, r Request) (*Result, error) {
	a := &assembly{Request: r, fs: NewFS(r.Manifest, r.Content), root: newOverlay(r.Epoch), esp: newOverlay(r.Epoch)}
	if r.Target == Net || r.Target == NetRoot || r.Target == Stick {
		a.Target = RAM // is where they end
	}
	steps := []func(context.Context) error{a.findKernels, a.makeInitrds}
	switch r.Target {
	case RAM:
		steps = append(steps, a.makeRAM)
	case Net:
		steps = append(steps, a.makeNet)
	case Stick:
		steps = append(steps, a.makeNet, a.makeStick)
	case NetRoot:
		steps = append(steps, a.makeNet, a.makeNetRoot)
	default:
		steps = append(steps, a.addFstab, a.addLogins, a.addLoaders, a.addHook, a.split, a.check)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("making %s bootable: %w", a.name(), err)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	a.result.Content = tree.Contents{a.root.content, a.esp.content, r.Content}
	return &a.result, nil
}

// assembly is the work of one Assemble.
type assembly struct {
	Request
	fs      *FS
	root    *overlay // over the tree
	esp     *overlay // the EFI system partition
	kernels []booted // the default first
	menu    entries.Menu
	used    map[string]string // the loader for each firmware
	whole   *tree.Manifest    // the tree with all that was added
	result  Result
}

func (a *assembly) name() string {
	if a.Definition.Name != "" {
		return a.Definition.Name
	}
	return "the machine"
}

func (a *assembly) warn(format string, args ...any) {
	a.result.Warnings = append(a.result.Warnings, fmt.Sprintf(format, args...))
}

func (a *assembly) partition(use string) (Partition, bool) {
	i := slices.IndexFunc(a.Partitions, func(p Partition) bool { return p.Use == use })
	if i < 0 {
		return Partition{}, false
	}
	return a.Partitions[i], true
}

// title is what menus call the machine's system.
func (a *assembly) title() string {
	for line := range strings.Lines(string(a.osRelease())) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "PRETTY_NAME="); ok {
			return strings.Trim(v, `"'`)
		}
	}
	return "Linux"
}

// read gives a file of the tree that has to be small.
func (a *assembly) read(name string, limit int64) ([]byte, error) {
	f, err := a.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("/%s is larger than %d bytes", path.Clean(name), limit)
	}
	return data, err
}
