package machine

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
)

// decoder fills Go values from nodes and reports what does not fit. It goes on
// after a problem, so that one pass finds them all.
type decoder struct {
	c         *collector
	base      func(file string) string // folder that relative paths of a file start from
	removals  bool                     // "-name" entries are still in the lists
	positions map[string]Position
	relative  map[string]string
	bad       map[string]bool // dotted paths of values that were refused
}

func newDecoder(c *collector, base func(string) string) *decoder {
	return &decoder{c: c, base: base, positions: map[string]Position{}, relative: map[string]string{}, bad: map[string]bool{}}
}

// refuse reports a structural problem of the value at path.
func (d *decoder) refuse(n *node, path, message, hint string) {
	d.bad[path] = true
	text := n.text
	if isSecret(n, path) {
		text, hint = "", ""
	}
	d.c.add(Problem{Pos: n.pos, Key: path, Text: text, Message: message, Hint: hint, structural: true})
}

// wrong reports a value of the wrong type.
func (d *decoder) wrong(n *node, path, want, hint string) {
	message := fmt.Sprintf("%s is %s, want %s", path, n.kind, want)
	if n.kind == intKind || n.kind == floatKind || n.kind == boolKind || n.kind == stringKind {
		message = fmt.Sprintf("%s is %s (%s), want %s", path, n.kind, d.show(n, path), want)
	}
	if n.kind == nullKind {
		message = fmt.Sprintf("%s has no value, want %s", path, want)
		hint = "give a value or remove the key"
	}
	d.refuse(n, path, message, hint)
}

// show quotes a value unless it may be a secret.
func (d *decoder) show(n *node, path string) string {
	switch {
	case isSecret(n, path):
		return "not shown"
	case n.kind == stringKind:
		return quote(n.text)
	}
	return n.text
}

// decode fills v from n; f holds the tags that apply.
func (d *decoder) decode(n *node, path string, v reflect.Value, f field) {
	d.positions[path] = n.pos
	if n.broken {
		d.bad[path] = true
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		d.require(n, path, f)
		d.decode(n, path, v.Elem(), f)
		return
	}
	if short, ok := shorthands[v.Type()]; ok && short.decode(d, n, path, v, f) {
		return
	}
	switch v.Type() {
	case textMapType:
		d.textMap(n, path, v, f)
		return
	case anyMapType, conditionType:
		d.anyMap(n, path, v)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.mapping(n, path, v)
	case reflect.Slice:
		d.list(n, path, v, f)
	default:
		d.scalar(n, path, v, f)
	}
}

// require checks the keys that a field asks of its mapping.
func (d *decoder) require(n *node, path string, f field) {
	if len(f.require) == 0 {
		return
	}
	if n.kind != mapKind {
		if short, ok := shorthands[f.typ.Elem()]; ok && n.kind == short.kind {
			d.wrong(n, path, "a mapping with "+listed(f.require, "and"), "")
		}
		return
	}
	t := f.typ.Elem()
	for _, key := range f.require {
		if own, _ := fieldOf(t, key); n.get(key) == nil && !own.required {
			d.lacks(n, path, key)
		}
	}
}

// lacks reports a key that a mapping must have.
func (d *decoder) lacks(n *node, path, key string) {
	d.refuse(n, path, fmt.Sprintf("%s lacks the key %q", path, key), "")
}

// mapping fills a struct.
func (d *decoder) mapping(n *node, path string, v reflect.Value) {
	t := v.Type()
	if n.kind != mapKind {
		d.wrong(n, path, typeWords(t), "")
		return
	}
	var meant []string // by unknown keys
	for _, p := range n.pairs {
		f, ok := fieldOf(t, p.key)
		if !ok {
			d.unknown(p, path, t)
			meant = append(meant, nearest(p.key, keysOf(t)))
			continue
		}
		d.decode(p.value, join(path, p.key), v.Field(f.index), f)
	}
	for _, f := range fieldsOf(t) {
		if f.required && n.get(f.key) == nil && !slices.Contains(meant, f.key) {
			d.lacks(n, path, f.key)
		}
	}
	d.combine(n, path, combinations[t], meant == nil)
	if pos := v.FieldByName("Pos"); pos.IsValid() {
		pos.Set(reflect.ValueOf(n.pos))
	}
}

// combine checks which keys stand together; whole tells that all keys of the
// mapping are known, so that a missing one is missing indeed.
func (d *decoder) combine(n *node, path string, rule combination, whole bool) {
	given := func(keys []string) (out []string) {
		for _, k := range keys {
			if n.get(k) != nil {
				out = append(out, k)
			}
		}
		return out
	}
	if one := given(rule.one); rule.one != nil && len(one) != 1 && (whole || len(one) > 1) {
		d.refuse(n, path, fmt.Sprintf("%s has %s, want exactly one of %s", path, listedOr(one, "and", "none"), listed(rule.one, "or")), "")
	}
	if rule.some != nil && len(given(rule.some)) == 0 && whole {
		d.refuse(n, path, fmt.Sprintf("%s needs %s", path, listed(rule.some, "or")), "")
	}
	for _, p := range n.pairs {
		for _, need := range rule.needs[p.key] {
			if n.get(need) == nil {
				d.refuse(p.value, join(path, p.key), fmt.Sprintf("%s needs the key %q beside it", join(path, p.key), need), "")
			}
		}
	}
}

// list fills a slice.
func (d *decoder) list(n *node, path string, v reflect.Value, f field) {
	if v.Type() == kernelsType && n.kind == mapKind || v.Type() == textsType && n.kind == stringKind { // one stands for a list of one
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.decode(n, path, v.Index(0), f)
		return
	}
	if n.kind != listKind {
		hint := ""
		if n.kind == stringKind && v.Type().Elem().Kind() == reflect.String {
			hint = fmt.Sprintf("write [%s]", n.text)
		}
		d.wrong(n, path, "a list", hint)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, it := range n.items {
		d.decode(it, join(path, strconv.Itoa(i)), v.Index(i), f)
	}
}

// textMap fills a mapping of text; numbers and truth values are taken as they
// are written.
func (d *decoder) textMap(n *node, path string, v reflect.Value, f field) {
	if n.kind != mapKind {
		d.wrong(n, path, "a mapping", "")
		return
	}
	out := make(map[string]string, len(n.pairs))
	for _, p := range n.pairs {
		key := join(path, p.key)
		d.positions[key] = p.pos
		if f.keycheck != nil && !f.keycheck.accepts(p.key) {
			d.c.add(Problem{Pos: p.pos, Key: key, Text: p.key, structural: true,
				Message: fmt.Sprintf("%s is no key of %s, want %s", quote(p.key), path, f.keycheck.want), Hint: f.keycheck.advise(p.key)})
		}
		switch p.value.kind {
		case stringKind, intKind, floatKind, boolKind:
			out[p.key] = p.value.text
		default:
			d.wrong(p.value, key, "text", "")
		}
	}
	v.Set(reflect.ValueOf(out))
}

// anyMap takes a mapping as it is.
func (d *decoder) anyMap(n *node, path string, v reflect.Value) {
	if n.kind != mapKind {
		d.wrong(n, path, "a mapping", "")
		return
	}
	v.Set(reflect.ValueOf(n.plain()).Convert(v.Type()))
}
