package machine

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// override is one --set option.
type override struct {
	option string   // as positions show it
	pos    Position // zero: the option alone
	keys   []string
	value  *node
}

// parseOverrides reads --set options: a dotted path, "=", a YAML value.
func parseOverrides(c *collector, options []string) []override {
	var out []override
	for _, text := range options {
		key, value, ok := strings.Cut(text, "=")
		option := "--set " + key
		if !ok || key == "" {
			c.add(Problem{Pos: Position{File: "--set"}, Text: key, Message: "--set wants KEY=VALUE, for example --set arch=arm64"})
			continue
		}
		if n := parseValue(c, option, value); n != nil {
			out = append(out, override{option: option, keys: strings.Split(key, "."), value: n})
		}
	}
	return out
}

// applyOverrides puts the options over a merged definition, in their order.
func applyOverrides(c *collector, root *node, overrides []override) *node {
	for _, o := range overrides {
		s := setter{c: c, o: o}
		if slices.Contains([]string{"include", "replace", "when"}, o.keys[0]) {
			s.fail("is about files and cannot be set on the command line", "")
			continue
		}
		if out := s.put(root, reflect.TypeFor[Definition](), o.keys); out != nil {
			root = out
		}
	}
	return root
}

// setter puts one value into a tree of nodes.
type setter struct {
	c *collector
	o override
}

func (s setter) fail(message, hint string) *node {
	key := strings.Join(s.o.keys, ".")
	pos := s.o.pos
	if pos.File == "" {
		pos.File = s.o.option
	}
	s.c.add(Problem{Pos: pos, Key: key, Text: key, Message: key + " " + message, Hint: hint})
	return nil
}

// put returns n with the value at keys; n may be nil. It returns nil when the
// keys lead nowhere.
func (s setter) put(n *node, t reflect.Type, keys []string) *node {
	if len(keys) == 0 {
		return s.o.value
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == kernelsType && (n == nil || n.kind == mapKind) && !digits(keys[0]) {
		t = t.Elem()
	}
	switch {
	case t == textMapType || t == anyMapType:
		return s.putKey(n, strings.Join(keys, "."), s.o.value)
	case t.Kind() == reflect.Slice:
		return s.putItem(n, t, keys)
	case t.Kind() == reflect.Struct && len(fieldsOf(t)) > 0:
		f, ok := fieldOf(t, keys[0])
		if !ok {
			if why, known := later[t][keys[0]]; known {
				return s.fail("is not yet supported", why)
			}
			return s.fail(fmt.Sprintf("has the unknown key %q", keys[0]), adviseKey(keys[0], t, "x"))
		}
		value := s.put(n.get(keys[0]), f.typ, keys[1:])
		if value == nil {
			return nil
		}
		return s.putKey(n, keys[0], value)
	}
	return s.fail(fmt.Sprintf("has no key %q below its value", keys[0]), "")
}

func (s setter) putKey(n *node, key string, value *node) *node {
	if n != nil && n.kind != mapKind {
		return s.fail(fmt.Sprintf("cannot be set inside a value that is %s", n.kind), "set the value as a whole")
	}
	if n == nil {
		n = &node{kind: mapKind, pos: s.o.value.pos}
	}
	return n.with(pair{key: key, pos: s.o.value.pos, value: value})
}

func (s setter) putItem(n *node, t reflect.Type, keys []string) *node {
	out := &node{kind: listKind, pos: s.o.value.pos}
	if n != nil && n.kind == listKind {
		out.items = slices.Clone(n.items)
	}
	i, err := strconv.Atoi(keys[0])
	if err != nil || i < 0 || i > len(out.items) {
		return s.fail(fmt.Sprintf("names entry %s of a list that has %d", quote(keys[0]), len(out.items)), "entries count from 0; the number after the last appends")
	}
	var old *node
	if i < len(out.items) {
		old = out.items[i]
	}
	value := s.put(old, t.Elem(), keys[1:])
	if value == nil {
		return nil
	}
	if i == len(out.items) {
		out.items = append(out.items, nil)
	}
	out.items[i] = value
	return out
}
