package formats

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"slipway/internal/image"
	"slipway/internal/image/erofs"
	"slipway/internal/image/ext4"
	"slipway/internal/image/squashfs"
	"slipway/internal/image/vfat"
	"slipway/internal/tree"
)

// volumes is the table of file systems that are written natively.
var volumes = map[string]func(context.Context, *tree.Manifest, tree.Content, image.VolumeOptions) (image.Volume, error){
	"erofs":    erofs.Plan,
	"ext4":     ext4.Plan,
	"squashfs": squashfs.Plan,
	"vfat":     vfat.Plan,
}

// Native tells whether slipway itself writes a file system.
func Native(filesystem string) bool { return volumes[filesystem] != nil }

// Plan lays out a file system of a kind.
func Plan(ctx context.Context, filesystem string, m *tree.Manifest, c tree.Content, opt image.VolumeOptions) (image.Volume, error) {
	plan, ok := volumes[filesystem]
	if !ok {
		var names []string
		for name := range volumes {
			names = append(names, name)
		}
		sort.Strings(names)
		return nil, fmt.Errorf("no file system is called %q; written natively are %s", filesystem, strings.Join(names, ", "))
	}
	return plan(ctx, m, c, opt)
}
