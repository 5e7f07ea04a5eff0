package build

import (
	"context"
	"fmt"
	"sort"
)

// Pending compares what is installed ("name:arch" to version) with the newest
// versions as of the lock's date: those of the archive while it is at that
// date, else those that the lock pins.
func (b *Builder) Pending(ctx context.Context, p *Prepared, installed map[string]string) ([]string, error) {
	family, err := b.family(p.Definition)
	if err != nil {
		return nil, err
	}
	newest := p.Packages()
	fresh, err := b.prepareWith(ctx, p.Definition, Options{Class: p.Class, Offline: true}, nil)
	if err == nil && fresh.Lock.Date.Equal(p.Lock.Date) {
		newest = fresh.Packages()
	}
	var out []string
	for _, pkg := range newest {
		have, ok := installed[pkg.Name+":"+pkg.Arch]
		if ok && family.Older(have, pkg.Version) {
			out = append(out, fmt.Sprintf("%s %s (installed: %s)", pkg.Name, pkg.Version, have))
		}
	}
	sort.Strings(out)
	return out, nil
}
