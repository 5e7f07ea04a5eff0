package machine

import (
	"fmt"
	"path"
	"reflect"
	"strconv"
	"strings"
)

// selectors are the keys of a conditional part that decide whether it applies.
var selectors = []string{"system", "arch", "name", "init"}

// notInParts are keys of a definition that cannot stand in a conditional part.
var notInParts = []string{"slipway", "board", "include", "when"}

// part is one conditional part of a file.
type part struct {
	patterns map[string][]string
	body     *node
	replace  []string
}

// facts are the values that selectors are compared with.
type facts map[string][]string

// match tells whether all selectors of a part match.
func (p part) match(f facts) bool {
	for key, patterns := range p.patterns {
		if !matchAny(patterns, f[key]) {
			return false
		}
	}
	return true
}

// matchAny tells whether a pattern matches a value. A star matches slashes
// too, as in the shell's case: "debian*" selects debian/trixie.
func matchAny(patterns, values []string) bool {
	flat := func(s string) string { return strings.ReplaceAll(s, "/", "\x01") }
	for _, p := range patterns {
		for _, v := range values {
			if ok, _ := path.Match(flat(p), flat(v)); ok {
				return true
			}
		}
	}
	return false
}

// factsOf reads the selectors' values out of a merged definition.
func factsOf(merged *node, hostArch string) facts {
	text := func(key, standard string) string {
		if n := merged.get(key); n != nil && n.kind == stringKind {
			return n.text
		}
		return standard
	}
	d := &Definition{System: text("system", ""), Init: text("init", "auto")}
	f := facts{"system": {d.System}, "arch": {text("arch", hostArch)}, "name": {text("name", "")}, "init": {d.Init}}
	if own := d.InitSystem(); own != d.Init {
		f["init"] = append(f["init"], own)
	}
	return f
}

// parts checks and splits the conditional parts of a file.
func (d *decoder) parts(src *source) {
	list := src.root.get("when")
	if list == nil || list.kind != listKind {
		return
	}
	for i, it := range list.items {
		if it.kind != mapKind {
			continue // reported as a wrong type
		}
		where := "when." + strconv.Itoa(i)
		p := part{patterns: map[string][]string{}}
		for _, key := range selectors {
			if n := it.get(key); n != nil {
				p.patterns[key] = d.patterns(n, where+"."+key, key)
			}
		}
		if len(p.patterns) == 0 {
			d.refuse(it, where, where+" has no condition", "give at least one of "+listed(selectors, "or"))
		}
		p.body = it.without(append(selectors, "replace")...)
		d.partBody(p.body, where)
		p.body = p.body.without(notInParts...)
		p.replace = d.replaceKeys(it.get("replace"), p.body, where+".replace")
		src.parts = append(src.parts, p)
	}
}

// partBody checks what a conditional part merges.
func (d *decoder) partBody(body *node, where string) {
	for _, key := range notInParts {
		for _, p := range body.pairs {
			if p.key == key {
				d.c.add(Problem{Pos: p.pos, Key: where + "." + key, Text: key, structural: true,
					Message: fmt.Sprintf("key %q cannot stand in a conditional part", key), Hint: "move it to the top level of the file"})
			}
		}
	}
	d.decode(body.without(notInParts...), where, reflect.New(reflect.TypeFor[Definition]()).Elem(), field{})
}

// patterns reads a selector: one shell pattern or a list of them.
func (d *decoder) patterns(n *node, where, key string) []string {
	items := []*node{n}
	if n.kind == listKind {
		items = n.items
	}
	var out []string
	for _, it := range items {
		if it.kind != stringKind {
			d.wrong(it, where, "a shell pattern or a list of them", "")
			continue
		}
		if _, err := path.Match(it.text, ""); err != nil {
			d.bad[where] = true
			d.c.add(Problem{Pos: it.pos, Key: where, Text: it.text, Message: fmt.Sprintf("%s: %s is no shell pattern", where, quote(it.text)), Hint: "a [ must be closed"})
			continue
		}
		if row, ok := distributionOf(it.text); ok && key == "system" && row.releases && row.name == it.text {
			d.c.add(Problem{Pos: it.pos, Key: where, Text: it.text,
				Message: fmt.Sprintf("%s: %s never matches, for a system has a release", where, quote(it.text)), Hint: didYouMean(it.text + "/*")})
		}
		out = append(out, it.text)
	}
	return out
}
