package modules

import (
	"path"
	"strings"
)

// parseDep reads "path: path path ..." lines: a module's file and those that
// it needs, the deepest last.
func (t *Tree) parseDep(text string) {
	for line := range strings.Lines(text) {
		file, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok || file == "" || !local(file) {
			continue
		}
		name := Name(file)
		t.files[name] = file
		var deps []string
		for _, dep := range strings.Fields(rest) {
			deps = append(deps, Name(dep))
		}
		t.deps[name] = deps
	}
}

// local tells whether a path stays below the folder that it is relative to.
// Absolute paths, which depmod writes for modules elsewhere, do not.
func local(file string) bool {
	clean := path.Clean(file)
	return !path.IsAbs(clean) && clean != ".." && !strings.HasPrefix(clean, "../")
}

func (t *Tree) parseBuiltin(text string) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			t.builtin[Name(line)] = true
		}
	}
}

// parseAlias reads "alias PATTERN MODULE" lines.
func (t *Tree) parseAlias(text string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) != 3 || f[0] != "alias" {
			continue
		}
		pattern, module := f[1], Name(f[2])
		if strings.ContainsAny(pattern, `*?[\`) {
			t.aliases = append(t.aliases, alias{pattern, module})
		} else {
			t.exact[pattern] = append(t.exact[pattern], module)
		}
	}
}

// parseSoftdep reads "softdep MODULE pre: NAME ... post: NAME ..." lines.
func (t *Tree) parseSoftdep(text string) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "softdep" {
			continue
		}
		module := Name(f[1])
		into := t.pre
		for _, word := range f[2:] {
			switch word {
			case "pre:":
				into = t.pre
			case "post:":
				into = t.post
			default:
				into[module] = append(into[module], word)
			}
		}
	}
}
