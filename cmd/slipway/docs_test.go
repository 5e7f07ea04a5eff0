package main

import (
	"flag"
	"io"
	"maps"
	"strings"
	"testing"

	"slipway/internal/docgen"
	"slipway/internal/machine"
)

//go:generate go test -run ^TestPagesAreUpToDate$ -write-docs .

var writeDocs = flag.Bool("write-docs", false, "write the generated pages of docs/ anew")

// TestPagesAreUpToDate holds docs/verbs and docs/definition.md to the help
// texts and the keys that they are generated from.
func TestPagesAreUpToDate(t *testing.T) {
	pages := docgen.Verbs(newRoot(&Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard}))
	maps.Copy(pages, docgen.Definition(machine.KeyDocs()))
	const docs = "../../docs"
	if *writeDocs {
		if err := pages.Write(docs); err != nil {
			t.Fatal(err)
		}
	}
	outdated, err := pages.Outdated(docs)
	if err != nil {
		t.Fatal(err)
	}
	if len(outdated) > 0 {
		t.Errorf("docs/ is not up to date: %s\nwrite it anew with: go generate ./cmd/slipway", strings.Join(outdated, ", "))
	}
}

// TestVerbsExplainThemselves keeps help texts from being left out.
func TestVerbsExplainThemselves(t *testing.T) {
	root := newRoot(&Env{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: io.Discard})
	for _, cmd := range root.Commands() {
		if !cmd.Hidden && (cmd.Short == "" || cmd.Long == "" || cmd.Example == "") {
			t.Errorf("slipway %s: want Short, Long and Example", cmd.Name())
		}
	}
}
