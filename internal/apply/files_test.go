package apply

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"slipway/internal/machine"
)

func files(list ...machine.File) machine.Definition { return machine.Definition{Files: list} }

func TestFileContent(t *testing.T) {
	f := newFixture(t)
	f.put("/srv/page", "old")
	f.must(files(
		machine.File{Path: "/srv/page", Content: ptr("new\n")},
		machine.File{Path: "/deep/er/still", Content: ptr(""), Mode: "4750", Owner: "www-data:adm"},
		machine.File{Path: "/srv/link", Link: "../page", Owner: "33"},
		machine.File{Path: "/var/spool/mine/", Mode: "1777", Owner: "nobody"},
		machine.File{Path: "/opt/plain/"},
	))
	f.has("/srv/page", "new\n", 0o644)
	f.has("/deep/er/still", "", 0o750|os.ModeSetuid)
	f.owned("/deep/er/still", "33:4")
	f.owned("/deep/er", "0:0")
	f.mode("/deep/er", 0o755)
	f.leads("/srv/link", "../page")
	f.owned("/srv/link", "33:33")
	f.mode("/var/spool/mine", 0o777|os.ModeSticky)
	f.owned("/var/spool/mine", "65534:65534")
	f.mode("/opt/plain", 0o755)
}

func TestFileFrom(t *testing.T) {
	f := newFixture(t)
	program := f.source("tool", "#!/bin/sh\n", 0o700)
	plain := f.source("conf", "a=b\n", 0o600)
	folder := t.TempDir()
	for name, text := range map[string]string{"one": "1", "sub/two": "2"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("one", filepath.Join(folder, "three")); err != nil {
		t.Fatal(err)
	}
	f.env.Fetch = func(_ context.Context, url, sum string) (string, error) {
		if url != "https://example.org/x" || sum != "abc" {
			return "", errors.New("unexpected")
		}
		return plain, nil
	}
	f.put("/etc/there/old", "kept")
	f.must(files(
		machine.File{Path: "/usr/local/bin/", From: &machine.From{File: program}},
		machine.File{Path: "/etc/conf", From: &machine.From{File: plain}},
		machine.File{Path: "/etc/there/", From: &machine.From{File: folder}},
		machine.File{Path: "/etc/modes/", From: &machine.From{File: folder}, Mode: "0640", Owner: ":adm"},
	))
	f.has("/usr/local/bin/tool", "#!/bin/sh\n", 0o755)
	f.has("/etc/conf", "a=b\n", 0o644)
	f.has("/etc/there/old", "kept", 0o644)
	f.has("/etc/there/sub/two", "2", 0o644)
	f.mode("/etc/there/sub", 0o755)
	f.leads("/etc/there/three", "one")
	f.has("/etc/modes/one", "1", 0o640)
	f.mode("/etc/modes/sub", 0o750)
	f.owned("/etc/modes/sub/two", "0:4")
	f.refused(files(machine.File{Path: "/x", From: &machine.From{File: plain, SHA256: "00"}}), "SHA-256", "want 00")
	f.refused(files(machine.File{Path: "/x", From: &machine.From{File: "/nowhere/at/all"}}), "/nowhere/at/all")
}

func TestFileFromURL(t *testing.T) {
	f := newFixture(t)
	plain := f.source("conf", "a=b\n", 0o600)
	f.env.Fetch = func(context.Context, string, string) (string, error) { return plain, nil }
	f.must(files(machine.File{Path: "/u", From: &machine.From{URL: "https://example.org/x"}}))
	f.has("/u", "a=b\n", 0o644)
}

func TestFileErrors(t *testing.T) {
	f := newFixture(t)
	f.refused(files(machine.File{Path: "/x", Content: ptr(""), Owner: "ww-data"}), `no user "ww-data"`, "did you mean www-data")
	f.refused(files(machine.File{Path: "/x", Content: ptr(""), Owner: "root:sude"}), `no group "sude"`, "sudo")
	f.refused(files(machine.File{Path: "/x", Content: ptr(""), Mode: "0999"}), "octal")
	f.refused(files(machine.File{Path: "/x", Content: ptr(""), Owner: "65536", Mode: "4755"}), "outside the ids 0 to 65535")
	f.refused(files(machine.File{Path: "/x", Link: "y", Owner: "0:65536"}), "outside the ids 0 to 65535")
	f.refused(files(machine.File{Path: "x", Content: ptr("")}), "not absolute")
	f.refused(files(machine.File{Path: "/etc", Content: ptr("")}), "a folder is there")
	f.refused(files(machine.File{Path: "/x"}), "content, from, link or secret")
}

// A tree's links may lead where its makers like, but never out of the tree.
func TestLinksStayInTheTree(t *testing.T) {
	f := newFixture(t)
	outside := t.TempDir()
	f.link(outside, "/abs")
	f.link("../../../../../../../.."+outside, "/srv/rel")
	f.link("/nowhere", "/dangling")
	for _, path := range []string{"/abs/x", "/srv/rel/x", "/../../x"} {
		// Whether the folder exists inside or not, the host's must stay as it is.
		_ = f.apply(files(machine.File{Path: path, Content: ptr("escaped")}))
	}
	if got, _ := os.ReadDir(outside); len(got) != 0 {
		t.Errorf("a link led out of the tree: %v", got)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(f.dir), "x")); err == nil {
		t.Error("dots led out of the tree")
	}
	f.has("/x", "escaped", 0o644)
	// A link at the last place is replaced, not followed.
	f.must(files(machine.File{Path: "/abs", Content: ptr("plain")}))
	f.has("/abs", "plain", 0o644)
	// Absolute links lead to the tree's own folders.
	f.put("/usr/lib/there", "")
	f.link("/usr/lib", "/lib")
	f.must(files(machine.File{Path: "/lib/new", Content: ptr("n")}))
	f.has("/usr/lib/new", "n", 0o644)
}
