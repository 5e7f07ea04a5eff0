// Package docgen writes the generated pages of docs/: one for each verb, from
// the command line's own help, and the reference of the definition, from the
// documentation of its keys. Its tests hold the hand-written pages to the
// truth as well: links lead somewhere, commands exist, definitions load.
//
// It is no part of slipway itself. cmd/slipway's tests call it, and
//
//	go generate ./cmd/slipway
//
// writes the pages anew.
package docgen

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
)

// Pages are files by their path below docs/.
type Pages map[string][]byte

// Write puts the pages into the folder docs.
func (p Pages) Write(docs string) error {
	for name, text := range p {
		path := filepath.Join(docs, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("writing the page %s: %w", name, err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return fmt.Errorf("writing the page %s: %w", name, err)
		}
	}
	return nil
}

// Outdated lists the pages that differ from the files below docs, and the
// files beside them that no page belongs to any more.
func (p Pages) Outdated(docs string) ([]string, error) {
	var out []string
	folders := map[string]bool{}
	for name, text := range p {
		if dir := filepath.Dir(name); dir != "." {
			folders[dir] = true
		}
		if have, err := os.ReadFile(filepath.Join(docs, name)); err != nil || !bytes.Equal(have, text) {
			out = append(out, name)
		}
	}
	for dir := range folders {
		entries, err := os.ReadDir(filepath.Join(docs, dir))
		if err != nil {
			return nil, fmt.Errorf("looking for pages: %w", err)
		}
		for _, e := range entries {
			if name := filepath.Join(dir, e.Name()); p[name] == nil {
				out = append(out, name)
			}
		}
	}
	sort.Strings(out)
	return out, nil
}
