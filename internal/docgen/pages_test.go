package docgen

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"slipway/internal/machine"
)

const repository = "../.."

// userPages lists every Markdown page of the repository that users read.
func userPages(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "CONTRIBUTING.md", "gallery/README.md"}
	err := filepath.WalkDir(filepath.Join(repository, "docs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			rel, _ := filepath.Rel(repository, path)
			pages = append(pages, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(pages) < 30 {
		t.Fatalf("only %d pages were found: the test looks in the wrong place", len(pages))
	}
	return pages
}

func read(t *testing.T, page string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// block is a fenced block: the words after the fence, and its lines.
type block struct {
	info string
	text string
	line int
}

// split separates a page's prose from its fenced blocks.
func split(page string) (prose string, blocks []block) {
	var kept []string
	var open *block
	for i, line := range strings.Split(page, "\n") {
		if info, fence := strings.CutPrefix(line, "```"); fence {
			if open == nil {
				blocks = append(blocks, block{info: info, line: i + 1})
				open = &blocks[len(blocks)-1]
			} else {
				open = nil
			}
			continue
		}
		if open != nil {
			open.text += line + "\n"
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n"), blocks
}

var (
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan = regexp.MustCompile("`[^`\n]*`")
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// anchors are the names that headings can be linked by.
func anchors(page string) []string {
	var out []string
	prose, _ := split(page)
	for _, m := range heading.FindAllStringSubmatch(prose, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_':
				return r
			}
			return -1
		}, strings.ToLower(m[1]))
		out = append(out, name)
	}
	return out
}

func TestLinksLeadSomewhere(t *testing.T) {
	for _, page := range userPages(t) {
		prose, _ := split(read(t, page))
		for _, m := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(prose, ""), -1) {
			file, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(file, "://") {
				continue
			}
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(filepath.Join(repository, target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, target)), anchor) {
				t.Errorf("%s: %s has no heading for #%s", page, target, anchor)
			}
		}
	}
}

// TestEveryPageIsLinked keeps pages from being forgotten.
func TestEveryPageIsLinked(t *testing.T) {
	linked := map[string]bool{"README.md": true}
	for _, page := range userPages(t) {
		prose, _ := split(read(t, page))
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			file, _, _ := strings.Cut(m[1], "#")
			linked[filepath.Join(filepath.Dir(page), file)] = true
		}
	}
	for _, page := range userPages(t) {
		if !linked[page] {
			t.Errorf("no page leads to %s", page)
		}
	}
}

// TestDefinitionsLoad loads every block that is marked as a definition, and
// every part of one with the keys that a definition must have.
func TestDefinitionsLoad(t *testing.T) {
	count := 0
	for _, page := range userPages(t) {
		_, blocks := split(read(t, page))
		for _, b := range blocks {
			text := b.text
			switch b.info {
			case "yaml definition":
			case "yaml part":
				text = "slipway: v1\nname: part\nsystem: debian/trixie\n" + text
			default:
				continue
			}
			count++
			file := filepath.Join(t.TempDir(), "definition.yaml")
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			d, err := machine.Load(file, machine.Options{})
			if err != nil {
				t.Errorf("%s:%d: %v", page, b.line, err)
			} else if err := d.Supported(); err != nil {
				t.Errorf("%s:%d: %v", page, b.line, err)
			}
		}
	}
	if count < 10 {
		t.Errorf("only %d definitions were found", count)
	}
}

// TestGalleryIsDescribed holds the gallery's page to its files.
func TestGalleryIsDescribed(t *testing.T) {
	page := read(t, "gallery/README.md")
	recipes, err := filepath.Glob(filepath.Join(repository, "gallery", "*.yaml"))
	if err != nil || len(recipes) == 0 {
		t.Fatalf("no recipes: %v", err)
	}
	for _, recipe := range recipes {
		if !strings.Contains(page, "("+filepath.Base(recipe)+")") {
			t.Errorf("gallery/README.md does not describe %s", filepath.Base(recipe))
		}
		if _, err := machine.Load(recipe, machine.Options{}); err != nil {
			t.Error(err)
		}
	}
}

// TestProbesAreExplained wants a section with an example for every kind.
func TestProbesAreExplained(t *testing.T) {
	page := read(t, "docs/probes.md")
	_, blocks := split(page)
	common := []string{"name", "within", "every", "after", "fails"}
	ofCommand := []string{"stdout", "stderr", "contains", "exit"}
	for _, k := range machine.KeyDocs() {
		kind, ok := strings.CutPrefix(k.Key, "probes[].")
		if !ok || strings.Contains(kind, ".") || slices.Contains(common, kind) {
			continue
		}
		if !slices.ContainsFunc(blocks, func(b block) bool { return strings.Contains(b.text, kind+":") }) && kind != "stderr" {
			t.Errorf("docs/probes.md has no example of %s", kind)
		}
		if !slices.Contains(ofCommand, kind) && !slices.Contains(anchors(page), kind) {
			t.Errorf("docs/probes.md has no section %s", kind)
		}
	}
}

// TestReadmeCommands holds the two commands that the README begins with.
func TestReadmeCommands(t *testing.T) {
	_, blocks := split(read(t, "README.md"))
	for _, command := range []string{"go run ./cmd/slipway up gallery/hello.yaml", "go test ./..."} {
		if !slices.ContainsFunc(blocks, func(b block) bool { return strings.TrimSpace(b.text) == command }) {
			t.Errorf("README.md does not show: %s", command)
		}
	}
}

// command is slipway at the start of a command, also of one after another.
var command = regexp.MustCompile(`(?m)(?:^\$ |^|&& |\|\| |<\()(?:slipway|go run \./cmd/slipway) +([a-z]+)(?: ([^\n#]*))?`)

// commands lists the verbs with their words on a page, in blocks and in code spans.
func commands(page string) [][]string {
	prose, blocks := split(page)
	var text []string
	for _, b := range blocks {
		text = append(text, b.text)
	}
	for _, span := range codeSpan.FindAllString(prose, -1) {
		text = append(text, strings.Trim(span, "`"))
	}
	return command.FindAllStringSubmatch(strings.Join(text, "\n"), -1)
}

// TestCommandsExist holds every command on the pages to the pages of the
// verbs, which are generated: the verb must be there, and so must each flag.
func TestCommandsExist(t *testing.T) {
	global, count := read(t, "docs/verbs/README.md"), 0
	for _, page := range userPages(t) {
		if page == filepath.Join("docs", "design.md") { // it describes what is to come as well
			continue
		}
		for _, m := range commands(read(t, page)) {
			count++
			verb := m[1]
			data, err := os.ReadFile(filepath.Join(repository, "docs", "verbs", verb+".md"))
			if err != nil {
				t.Errorf("%s: there is no verb %s", page, verb)
				continue
			}
			if verb == "shell" || verb == "with" {
				continue // the flags may be the command's
			}
			for _, flag := range flags.FindAllString(m[2], -1) {
				if !strings.Contains(string(data)+global, flag+" ") && !strings.Contains(string(data)+global, flag+"`") {
					t.Errorf("%s: slipway %s has no flag %s", page, verb, flag)
				}
			}
		}
	}
	if count < 60 {
		t.Errorf("only %d commands were found", count)
	}
}

var flags = regexp.MustCompile(`--[a-z][a-z-]*`)
