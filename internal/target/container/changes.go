package container

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"

	"slipway/internal/machine"
)

// unfelt are keys that a running machine does not feel: they say how it is
// checked or how the file is written.
var unfelt = map[string]bool{"slipway": true, "include": true, "replace": true, "when": true, "probes": true, "mirror": true}

// Changes says in words why a running machine is not what the definition, built
// under key, asks for now. None means that it can be left alone.
func (m *Machine) Changes(d *machine.Definition, key string) []string {
	var keys []string
	if old := m.rec.Spec.Definition; old != nil {
		keys = changedKeys(old, d)
	}
	felt := len(keys) > 0
	if m.Key == key && felt && !anyAtStart(keys) {
		return nil // written otherwise, built the same
	}
	switch {
	case felt:
		return []string{strings.Join(keys, ", ") + " changed"}
	case m.Key != key:
		return []string{"its packages or the files that it takes in changed"}
	}
	return nil
}

// atStart are keys that act when the machine starts, not when it is built.
var atStart = map[string]bool{
	"init": true, "hostname": true, "state": true, "container": true, "ports": true, "outside": true, "restart": true, "name": true,
}

func anyAtStart(keys []string) bool {
	for _, k := range keys {
		if atStart[k] {
			return true
		}
	}
	return false
}

// changedKeys lists the top-level keys whose values differ, in the order of the type.
func changedKeys(a, b *machine.Definition) []string {
	var out []string
	va, vb := reflect.ValueOf(a).Elem(), reflect.ValueOf(b).Elem()
	for i := range va.NumField() {
		field := va.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if !field.IsExported() || name == "" || name == "-" || unfelt[name] {
			continue
		}
		x, errX := json.Marshal(va.Field(i).Interface())
		y, errY := json.Marshal(vb.Field(i).Interface())
		if errX != nil || errY != nil || !bytes.Equal(normal(x), normal(y)) {
			out = append(out, name)
		}
	}
	return out
}

// normal makes an absent list or mapping equal to an empty one.
func normal(text []byte) []byte {
	if s := string(text); s == "[]" || s == "{}" {
		return []byte("null")
	}
	return text
}
