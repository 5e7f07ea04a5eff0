package machine

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// merger puts one file's values over those of the files below it.
type merger struct {
	c       *collector
	replace []string // dotted keys whose lower value is dropped
}

// removable are the dotted paths of lists that understand "-name".
var removable = findRemovable("", reflect.TypeFor[Definition]())

func findRemovable(path string, t reflect.Type) []string {
	var out []string
	for _, f := range fieldsOf(t) {
		if f.remove {
			out = append(out, join(path, f.key))
		}
		if f.typ.Kind() == reflect.Struct {
			out = append(out, findRemovable(join(path, f.key), f.typ)...)
		}
	}
	return out
}

// merge returns upper over lower: mappings merge, lists append, everything
// else is upper's. lower may be nil.
func (m *merger) merge(lower, upper *node, path string) *node {
	if slices.Contains(m.replace, path) {
		lower = nil
	}
	if lower != nil && lower.kind != upper.kind {
		lower = nil
	}
	switch upper.kind {
	case mapKind:
		return m.mergeMaps(lower, upper, path)
	case listKind:
		return m.mergeLists(lower, upper, path)
	}
	return upper
}

func (m *merger) mergeMaps(lower, upper *node, path string) *node {
	out := &node{kind: mapKind, pos: upper.pos}
	if lower != nil {
		out.pairs = slices.Clone(lower.pairs)
	}
	for _, p := range upper.pairs {
		p.value = m.merge(lower.get(p.key), p.value, join(path, p.key))
		i := slices.IndexFunc(out.pairs, func(q pair) bool { return q.key == p.key })
		if i < 0 {
			out.pairs = append(out.pairs, p)
		} else {
			out.pairs[i] = p
		}
	}
	return out
}

func (m *merger) mergeLists(lower, upper *node, path string) *node {
	out := &node{kind: listKind, pos: upper.pos}
	if lower != nil {
		out.items = slices.Clone(lower.items)
	}
	if !slices.Contains(removable, path) {
		out.items = append(out.items, upper.items...)
		return out
	}
	for _, it := range upper.items {
		m.entry(out, it, path)
	}
	return out
}

// entry appends one entry to a list of names, once, or removes what "-name"
// names.
func (m *merger) entry(list, it *node, path string) {
	name, remove := strings.CutPrefix(it.text, "-")
	if it.kind != stringKind || !remove {
		known := slices.ContainsFunc(list.items, func(o *node) bool {
			return it.kind == stringKind && o.kind == stringKind && o.text == it.text && !strings.HasPrefix(it.text, ".")
		})
		if !known {
			list.items = append(list.items, it)
		}
		return
	}
	before := len(list.items)
	list.items = slices.DeleteFunc(list.items, func(o *node) bool { return o.text == name || packageOf(o.text) == name })
	if len(list.items) == before {
		m.c.add(Problem{Pos: it.pos, Key: path, Text: it.text,
			Message: fmt.Sprintf("%s removes %q, which is not listed before", path, name), Hint: m.listedBefore(list, name)})
	}
}

func (m *merger) listedBefore(list *node, name string) string {
	var names []string
	for _, it := range list.items {
		names = append(names, it.text)
	}
	return didYouMeanIf(nearest(name, names) != "", "-"+nearest(name, names))
}

// packageOf is the name in an entry of packages, without version or suite.
func packageOf(entry string) string {
	if IsLocalPackage(entry) {
		return entry
	}
	if at := strings.IndexAny(entry, "=/"); at >= 0 {
		return entry[:at]
	}
	return entry
}

// replaceKeys reads a replace list: each key must exist and be set beside it.
func (d *decoder) replaceKeys(list, body *node, where string) []string {
	if list == nil || list.kind != listKind {
		if list != nil && where != "replace" {
			d.wrong(list, where, "a list", "")
		}
		return nil
	}
	var out []string
	for i, it := range list.items {
		at := where + "." + strconv.Itoa(i)
		if it.kind != stringKind {
			d.wrong(it, at, "a key", "")
			continue
		}
		if why, hint := checkKey(it.text, body); why != "" {
			d.c.add(Problem{Pos: it.pos, Key: at, Text: it.text, Message: why, Hint: hint})
			continue
		}
		out = append(out, it.text)
	}
	return out
}

// checkKey tells what is wrong with a dotted key in a replace list.
func checkKey(key string, body *node) (why, hint string) {
	t, at := reflect.TypeFor[Definition](), body
	for _, k := range strings.Split(key, ".") {
		if t.Kind() == reflect.Struct {
			f, ok := fieldOf(t, k)
			if !ok {
				return fmt.Sprintf("replace names the unknown key %q", key), adviseKey(k, t, "")
			}
			t = f.typ
		}
		if at = at.get(k); at == nil {
			return fmt.Sprintf("replace names %q, which is not set beside it", key), "give it a value, [] to drop what is included"
		}
	}
	return "", ""
}
