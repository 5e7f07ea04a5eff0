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
	var from []*machine.From
	for _, f := range d.Files {
		from = append(from, f.From)
	}
	return b.fetchFrom(ctx, from, offline)
}

// fetchFrom gets files by hash and tells where they are, by their SHA-256.
// Those that are not from a URL are passed over.
func (b *Builder) fetchFrom(ctx context.Context, from []*machine.From, offline bool) (map[string]string, error) {
	out := map[string]string{}
	var items []fetch.Item
	for _, f := range from {
		if f == nil || f.URL == "" {
			continue
		}
		path := b.Store.ObjectPath("file", f.SHA256)
		out[f.SHA256] = path
		if !b.Store.HasObject("file", f.SHA256) {
			items = append(items, fetch.Item{Name: f.URL, URLs: []string{f.URL}, SHA256: f.SHA256, Dest: path})
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

// From is the file on this host that a source outside the definition names,
// fetched if need be, and checked against its SHA-256 if it has one.
func (b *Builder) From(ctx context.Context, from *machine.From) (string, error) {
	if from.URL != "" {
		got, err := b.fetchFrom(ctx, []*machine.From{from}, false)
		return got[from.SHA256], err
	}
	if from.SHA256 != "" {
		sum, err := hashFile(from.File)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", from.File, err)
		}
		if sum != from.SHA256 {
			return "", fmt.Errorf("%s has SHA-256 %s, and the definition wants %s", from.File, sum, from.SHA256)
		}
	}
	return from.File, nil
}
