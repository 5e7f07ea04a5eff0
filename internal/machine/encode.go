package machine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"time"
)

// entry is one key of a mapping that is written out, in order.
type entry struct {
	key   string
	value any // []entry, []any, string, bool, a number, or anything JSON takes
}

// JSON returns the definition as canonical bytes for hashing: only keys that
// were given, and slipway, name, system and arch; equal definitions give equal
// bytes. Paths that were written relative are relative to the definition's
// folder, so that moving it changes nothing. What those files contain, and the
// values of secrets, are not part of it.
func (d *Definition) JSON() ([]byte, error) {
	return encodeJSON(d.entries(nil, d.relativeTo))
}

// JSONOf is JSON of some top-level keys only: the part of a definition that
// decides about one layer.
func (d *Definition) JSONOf(keys ...string) ([]byte, error) {
	return encodeJSON(d.entries(keys, d.relativeTo))
}

// YAML returns the effective definition: files merged, conditions and
// overrides applied, defaults filled in, paths absolute. It loads again to the
// same definition.
func (d *Definition) YAML() ([]byte, error) {
	var out bytes.Buffer
	writeYAML(&out, d.entries(nil, func(p string) string { return p }), 0)
	return out.Bytes(), nil
}

// entries lists the top-level keys that say something, in the order of the
// types; keys, if any, chooses among them.
func (d *Definition) entries(keys []string, path func(string) string) []entry {
	always := []string{"slipway", "name", "system", "arch"}
	v := reflect.ValueOf(d).Elem()
	var out []entry
	for _, f := range fieldsOf(v.Type()) {
		_, given := d.Set[f.key]
		given = given || slices.Contains(always, f.key)
		file := f.key == "include" || f.key == "replace" || f.key == "when"
		if !given || file || keys != nil && !slices.Contains(keys, f.key) {
			continue
		}
		out = append(out, entry{f.key, encodeValue(v.Field(f.index), f, path)})
	}
	return out
}

// encodeValue turns a Go value into what is written for it.
func encodeValue(v reflect.Value, f field, path func(string) string) any {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case Size:
		return x.String()
	case Port:
		return x.String()
	case Mirror:
		if x.None {
			return "none"
		}
	case map[string]string:
		return encodeMap(x)
	case map[string]any:
		return x
	}
	switch v.Kind() {
	case reflect.String:
		if isHostPath(v.String(), f.path) {
			return path(v.String())
		}
		return v.String()
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = encodeValue(v.Index(i), f, path)
		}
		return list
	case reflect.Struct:
		return encodeStruct(v, path)
	}
	return v.Interface()
}

// encodeStruct leaves out what has its zero value: inside mappings zero and
// absent mean the same, or the field is a pointer.
func encodeStruct(v reflect.Value, path func(string) string) []entry {
	out := []entry{}
	for _, f := range fieldsOf(v.Type()) {
		if field := v.Field(f.index); !field.IsZero() {
			out = append(out, entry{f.key, encodeValue(field, f, path)})
		}
	}
	return out
}

func encodeMap(m map[string]string) []entry {
	out := []entry{}
	for k, v := range m {
		out = append(out, entry{k, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].key < out[j].key })
	return out
}

// encodeJSON writes entries as one JSON object in their order.
func encodeJSON(entries []entry) ([]byte, error) {
	var out bytes.Buffer
	if err := writeJSON(&out, entries); err != nil {
		return nil, fmt.Errorf("encoding the definition: %w", err)
	}
	return out.Bytes(), nil
}

func writeJSON(out *bytes.Buffer, value any) error {
	switch x := value.(type) {
	case []entry:
		return writeJSONList(out, '{', '}', len(x), func(i int) error {
			if err := writeJSON(out, x[i].key); err != nil {
				return err
			}
			out.WriteByte(':')
			return writeJSON(out, x[i].value)
		})
	case []any:
		return writeJSONList(out, '[', ']', len(x), func(i int) error { return writeJSON(out, x[i]) })
	}
	text, err := json.Marshal(value)
	out.Write(text)
	return err
}

func writeJSONList(out *bytes.Buffer, open, end byte, n int, item func(int) error) error {
	out.WriteByte(open)
	for i := range n {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := item(i); err != nil {
			return err
		}
	}
	out.WriteByte(end)
	return nil
}
