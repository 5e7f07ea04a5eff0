package imagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// Plan lays out a volume, as every filesystem's package has it.
type Plan func(context.Context, *tree.Manifest, tree.Content, image.VolumeOptions) (image.Volume, error)

// RunVolume puts the laying out of volumes to the tests that do not depend on
// the format. Without trees it uses Trees and Compressible; a format that
// cannot hold those names others.
func RunVolume(t *testing.T, plan Plan, trees ...Tree) {
	if trees == nil {
		trees = append(Trees(), Compressible())
	}
	for _, tr := range trees {
		t.Run(tr.Name, func(t *testing.T) { volumeSizes(t, plan, tr) })
	}
	last := trees[len(trees)-1]
	t.Run("cpus", func(t *testing.T) { volumeCPUs(t, plan, last) })
	t.Run("epoch", func(t *testing.T) { volumeEpoch(t, plan, trees[0]) })
	t.Run("errors", func(t *testing.T) { volumeErrors(t, plan, last) })
}

func mustPlan(t *testing.T, plan Plan, tr Tree, opt image.VolumeOptions) image.Volume {
	t.Helper()
	v, err := plan(context.Background(), tr.Manifest, tr.Content, opt)
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := v.(io.Closer); ok {
		t.Cleanup(func() { c.Close() })
	}
	return v
}

func volumeBytes(t *testing.T, v image.Volume) []byte {
	t.Helper()
	var b bytes.Buffer
	c := &image.Counter{W: &b}
	if err := v.Write(context.Background(), c); err != nil {
		t.Fatal(err)
	}
	if c.N != v.Size() {
		t.Errorf("wrote %d bytes, Size says %d", c.N, v.Size())
	}
	return b.Bytes()
}

// volumeSizes: smallest, with room, of a given size, too small; each written
// twice, the first time into a file with holes.
func volumeSizes(t *testing.T, plan Plan, tr Tree) {
	v := mustPlan(t, plan, tr, image.VolumeOptions{UUID: [16]byte{0: 1, 15: 16}})
	name := filepath.Join(t.TempDir(), "volume")
	if _, err := image.WriteFile(name, false, func(w io.Writer) error { return v.Write(context.Background(), w) }); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, volumeBytes(t, v)) {
		t.Error("written a second time, and without holes, it is another")
	}
	smallest := v.Size()
	if n := mustPlan(t, plan, tr, image.VolumeOptions{Free: 4 << 20}).Size(); n < smallest+3<<20 {
		t.Errorf("with 4 MiB free it has %d bytes, the smallest %d", n, smallest)
	}
	given := (smallest+16<<20)&^(1<<20-1) + 4096
	if v := mustPlan(t, plan, tr, image.VolumeOptions{Size: given}); v.Size() != given {
		t.Errorf("asked for %d bytes, got %d", given, v.Size())
	} else {
		volumeBytes(t, v)
	}
	if _, err := plan(context.Background(), tr.Manifest, tr.Content, image.VolumeOptions{Size: 4096}); err == nil {
		t.Error("a volume of 4096 bytes is no error")
	}
}

func volumeCPUs(t *testing.T, plan Plan, tr Tree) {
	var first []byte
	for _, n := range []int{1, 3, 8} {
		old := runtime.GOMAXPROCS(n)
		b := volumeBytes(t, mustPlan(t, plan, tr, image.VolumeOptions{}))
		runtime.GOMAXPROCS(old)
		if first == nil {
			first = b
		} else if !bytes.Equal(first, b) {
			t.Errorf("other bytes with %d CPUs", n)
		}
	}
}

func volumeEpoch(t *testing.T, plan Plan, tr Tree) {
	a := volumeBytes(t, mustPlan(t, plan, tr, image.VolumeOptions{Epoch: 1000}))
	clamped := Tree{tr.Name, &tree.Manifest{Entries: append([]tree.Entry(nil), tr.Manifest.Entries...)}, tr.Content}
	for i := range clamped.Manifest.Entries {
		if e := &clamped.Manifest.Entries[i]; e.MTime >= 1000 {
			e.MTime, e.MNsec = 1000, 0
		}
	}
	if !bytes.Equal(a, volumeBytes(t, mustPlan(t, plan, clamped, image.VolumeOptions{Epoch: 1000}))) {
		t.Error("clamping in the volume differs from a clamped manifest")
	}
}

func volumeErrors(t *testing.T, plan Plan, tr Tree) {
	v := mustPlan(t, plan, tr, image.VolumeOptions{})
	if err := v.Write(context.Background(), &limited{left: 1000}); !errors.Is(err, errFull) {
		t.Errorf("full output: got error %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := v.Write(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got error %v", err)
	}
	v, err := plan(context.Background(), tr.Manifest, tree.Bytes{}, image.VolumeOptions{})
	if err == nil {
		err = v.Write(context.Background(), io.Discard)
	}
	if !errors.Is(err, tree.ErrNoContent) {
		t.Errorf("missing content: got error %v", err)
	}
	bad := &tree.Manifest{Entries: []tree.Entry{{Path: "../x", Type: tree.Dir}}}
	if _, err := plan(context.Background(), bad, tr.Content, image.VolumeOptions{}); err == nil {
		t.Error("an invalid manifest is no error")
	}
}
