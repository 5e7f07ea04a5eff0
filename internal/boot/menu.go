package boot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"slipway/internal/bootfiles/entries"
	"slipway/internal/machine"
	"slipway/internal/tree"
)

// booted is a kernel of the menu.
type booted struct {
	Kernel
	key     machine.Kernel // of the definition
	cmdline string
	image   blob
	initrd  *blob // nil: none
	host    *host // it comes from this computer, not from the tree
}

// blob is a file of a tree, or bytes of our own.
type blob struct {
	entry *tree.Entry
	data  []byte
}

func (b *blob) size() int64 {
	if b.entry != nil {
		return b.entry.Size
	}
	return int64(len(b.data))
}

func (b *blob) open(c tree.Content) (io.ReadCloser, error) {
	if b.entry != nil {
		return c.Open(b.entry.Digest)
	}
	return io.NopCloser(bytes.NewReader(b.data)), nil
}

func (b *blob) opener(c tree.Content) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return b.open(c) }
}

func (b *blob) bytes(c tree.Content) ([]byte, error) {
	r, err := b.open(c)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// payload gives a blob to somebody who does not know trees.
func (b *blob) payload(c tree.Content) *Payload {
	return &Payload{Size: b.size(), Write: func(_ context.Context, w io.Writer) error {
		r, err := b.open(c)
		if err != nil {
			return err
		}
		defer r.Close()
		_, err = io.Copy(w, r)
		return err
	}}
}

// addTo puts a blob into a partition.
func (b *blob) addTo(o *overlay, name string) {
	if b.entry != nil {
		o.copied(name, 0o644, b.entry)
		return
	}
	o.file(name, 0o644, b.data)
}

// findKernels makes the menu: the kernels of the definition in its order, then
// what else is installed, the newest first.
func (a *assembly) findKernels(context.Context) error {
	keys := a.Definition.Kernels()
	keys = slices.DeleteFunc(keys, func(k machine.Kernel) bool { return k.Package == "none" && k.File == "" })
	if len(keys) == 0 {
		return nil // the machine is to have none
	}
	installed, missing := Kernels(a.Manifest)
	for _, key := range keys {
		k, err := a.findKernel(key, installed)
		if err != nil {
			return err
		}
		if k == nil {
			return missing
		}
		installed = slices.DeleteFunc(installed, func(i Kernel) bool { return i.Version == k.Version })
		a.kernels = append(a.kernels, *k)
	}
	for _, k := range installed {
		a.kernels = append(a.kernels, booted{Kernel: k, key: machine.Kernel{Cmdline: keys[0].Cmdline, Modules: keys[0].Modules}, image: blob{entry: k.Image}})
	}
	for i := range a.kernels {
		k := &a.kernels[i]
		var err error
		if k.cmdline, err = a.cmdline(k.key); err != nil {
			return err
		}
		a.result.Kernels = append(a.result.Kernels, k.Version)
	}
	return nil
}

// findKernel gives the kernel that a key means; nil if none is installed.
func (a *assembly) findKernel(key machine.Kernel, installed []Kernel) (*booted, error) {
	switch {
	case key.File != "" || key.Package == "host":
		return a.hostKernel(key)
	case len(installed) == 0:
		return nil, nil
	case key.Package == "auto":
		k := installed[0]
		// Beside other kernels it is the one of the package that auto stands for.
		if own, err := find(installed, a.versionOf("linux-image-"+a.Definition.Arch, 0)); err == nil {
			k = own
		}
		return &booted{Kernel: k, key: key, image: blob{entry: k.Image}}, nil
	}
	name, _, _ := strings.Cut(key.Package, "=")
	v := a.versionOf(name, 0)
	if v == "" {
		return nil, fmt.Errorf("no kernel of the package %s is in /boot: name a package that holds one (kernel.package), or leave the key away", name)
	}
	k, err := find(installed, v)
	if err != nil {
		return nil, fmt.Errorf("the package %s: %w", name, err)
	}
	return &booted{Kernel: k, key: key, image: blob{entry: k.Image}}, nil
}

// versionOf asks dpkg's records which kernel a package brought, itself or by
// what it depends on; empty if none.
func (a *assembly) versionOf(name string, depth int) string {
	for _, list := range []string{name, name + ":" + a.Definition.Arch} {
		data, err := a.read("var/lib/dpkg/info/"+list+".list", 16<<20)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "/"+entries.Image("")); ok {
				return v
			}
		}
	}
	if depth > 3 {
		return ""
	}
	for _, dep := range a.dependencies(name) {
		if v := a.versionOf(dep, depth+1); v != "" {
			return v
		}
	}
	return ""
}

// dependencies are the kernel packages that a package depends on.
func (a *assembly) dependencies(name string) []string {
	status, err := a.read("var/lib/dpkg/status", 64<<20)
	if err != nil {
		return nil
	}
	_, stanza, found := bytes.Cut(append([]byte("\n"), status...), []byte("\nPackage: "+name+"\n"))
	if !found {
		return nil
	}
	stanza, _, _ = bytes.Cut(stanza, []byte("\n\n"))
	var out []string
	for line := range bytes.Lines(stanza) {
		text, ok := bytes.CutPrefix(line, []byte("Depends:"))
		if !ok {
			continue
		}
		for dep := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == ',' || r == '|' }) {
			if f := strings.Fields(dep); len(f) > 0 && strings.HasPrefix(f[0], "linux-") {
				out = append(out, f[0])
			}
		}
	}
	return out
}

// makeMenu describes the kernels to the loaders.
func (a *assembly) makeMenu() error {
	a.menu = entries.Menu{Title: a.title(), Machine: a.Definition.Name, Timeout: a.Definition.Boot.Timeout}
	if _, given := a.partition("boot"); given {
		a.menu.Place = entries.InBoot
	}
	newest := ""
	for i, k := range a.kernels {
		if k.key.Package == "host" {
			continue // it changes with every start, and is in no disk
		}
		a.menu.Kernels = append(a.menu.Kernels, entries.Kernel{Version: k.Version, Cmdline: k.cmdline, NoInitrd: k.initrd == nil})
		if newest == "" && i > 0 || newer(k.Version, newest) {
			newest = k.Version
		}
	}
	if len(a.menu.Kernels) > 1 {
		if a.menu.Timeout == 0 {
			a.menu.Timeout = 3
		}
		if first := a.menu.Kernels[0].Version; first != newest {
			a.menu.Default = first
		}
	}
	for _, k := range a.menu.Kernels {
		if path.Base(k.Version) != k.Version || strings.ContainsAny(k.Version, " \t\n") {
			return fmt.Errorf("a kernel of version %q has no name that loaders can read", k.Version)
		}
	}
	return nil
}
