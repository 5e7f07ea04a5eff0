package machine

import (
	"fmt"
	"slices"
)

// kind is what a YAML value is.
type kind int

const (
	nullKind kind = iota
	boolKind
	intKind
	floatKind
	stringKind
	listKind
	mapKind
)

// String returns the kind in words that fit "is ...".
func (k kind) String() string {
	return [...]string{"empty", "true or false", "a number", "a number", "text", "a list", "a mapping"}[k]
}

// node is a YAML value with its place. Nodes are not changed once made, so
// that aliases and merged trees share them.
type node struct {
	kind  kind
	pos   Position
	text  string // of a scalar, as written (text: as meant)
	value any    // of a scalar: bool, int64, uint64, float64
	items []*node
	pairs []pair
	size  int // values in this tree, aliases expanded

	// broken marks what stands for a value that was reported already.
	broken bool
}

// pair is one key of a mapping.
type pair struct {
	key   string
	pos   Position // of the key
	value *node
}

// get returns the value of a key, nil if it is absent.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, p := range n.pairs {
		if p.key == key {
			return p.value
		}
	}
	return nil
}

// with returns a copy of the mapping n in which key has the value v.
func (n *node) with(p pair) *node {
	out := *n
	out.pairs = append([]pair(nil), n.pairs...)
	for i := range out.pairs {
		if out.pairs[i].key == p.key {
			out.pairs[i] = p
			return &out
		}
	}
	out.pairs = append(out.pairs, p)
	return &out
}

// without returns a copy of the mapping n that lacks the keys.
func (n *node) without(keys ...string) *node {
	out := *n
	out.pairs = nil
next:
	for _, p := range n.pairs {
		for _, k := range keys {
			if p.key == k {
				continue next
			}
		}
		out.pairs = append(out.pairs, p)
	}
	return &out
}

// plain returns the value as encoding/json would: maps, slices and scalars.
func (n *node) plain() any {
	switch n.kind {
	case nullKind:
		return nil
	case stringKind:
		return n.text
	case listKind:
		out := make([]any, len(n.items))
		for i, it := range n.items {
			out[i] = it.plain()
		}
		return out
	case mapKind:
		out := make(map[string]any, len(n.pairs))
		for _, p := range n.pairs {
			out[p.key] = p.value.plain()
		}
		return out
	}
	return n.value
}

// quote shortens text to what fits a message.
func quote(text string) string {
	const most = 60
	if r := []rune(text); len(r) > most {
		return fmt.Sprintf("%q…", string(r[:most]))
	}
	return fmt.Sprintf("%q", text)
}

// same says whether two values are the same, wherever they are written.
func (n *node) same(o *node) bool {
	return n.kind == o.kind && n.text == o.text && n.broken == o.broken && slices.EqualFunc(n.items, o.items, (*node).same) &&
		slices.EqualFunc(n.pairs, o.pairs, func(a, b pair) bool { return a.key == b.key && a.value.same(b.value) })
}
