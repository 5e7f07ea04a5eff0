package machine

import (
	"reflect"
	"sync"
)

// KeyDoc documents one key of a definition.
type KeyDoc struct {
	Key      string // dotted; "[]" after a list: "users[].name"
	Type     string // in words: "text", "a list of text", "a mapping"
	Text     string // what it means
	Default  string // in words; "" if there is none
	Example  string // a YAML value; "" for mappings whose own keys have examples
	Required bool   // in the mapping that holds it
}

var keyDocs = sync.OnceValue(func() []KeyDoc { return documentKeys(nil, "", reflect.TypeFor[Definition]()) })

// KeyDocs lists every key of a definition in the order of the types, to
// generate its documentation.
func KeyDocs() []KeyDoc { return keyDocs() }

func documentKeys(out []KeyDoc, path string, t reflect.Type) []KeyDoc {
	for _, f := range fieldsOf(t) {
		key := join(path, f.key)
		out = append(out, KeyDoc{
			Key: key, Type: wordsFor(f.typ, f), Text: f.doc, Default: f.standard, Example: f.example,
			Required: f.required || path == "" && (f.key == "slipway" || f.key == "name" || f.key == "system"),
		})
		inner := f.typ
		if inner.Kind() == reflect.Slice {
			inner, key = inner.Elem(), key+"[]"
		}
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			out = documentKeys(out, key, inner)
		}
	}
	return out
}

// wordsFor says how a type is written.
func wordsFor(t reflect.Type, f field) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if short, ok := shorthands[t]; ok {
		return short.words
	}
	switch {
	case t.Kind() == reflect.Slice:
		return "a list of: " + wordsFor(t.Elem(), f)
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		return "a mapping"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case f.check != nil:
		return f.check.want
	case t.Kind() == reflect.String:
		return "text"
	}
	return "a number"
}
