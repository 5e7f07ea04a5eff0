package build

import (
	"context"
	"fmt"

	"slipway/internal/fetch"
	"slipway/internal/machine"
)

// fetchSources gets the files that the definition takes from URLs, by hash,
// into the store.
func (b *Builder) fetchSources(ctx context.Context, d *machine.Definition, offline bool) (map[string]string, error) {
	out := map[string]string{}
	var items []fetch.Item
	for _, f := range d.Files {
		if f.From == nil || f.From.URL == "" {
			continue
		}
		path := b.Store.ObjectPath("file", f.From.SHA256)
		out[f.From.SHA256] = path
		if !b.Store.HasObject("file", f.From.SHA256) {
			items = append(items, fetch.Item{Name: f.From.URL, URLs: []string{f.From.URL}, SHA256: f.From.SHA256, Dest: path})
		}
	}
	if len(items) == 0 {
		return out, nil
	}
	step := b.Progress.Step(fmt.Sprintf("fetch %d files", len(items)))
	err := (&fetch.Fetcher{Offline: offline}).Fetch(ctx, items)
	step.Done(err)
	return out, err
}
