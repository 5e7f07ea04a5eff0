package probe

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// compareJSON looks up dotted paths in a document and returns the first
// difference in words, or nothing.
func compareJSON(body []byte, want map[string]any) string {
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return "a body that is no JSON: " + quote(body)
	}
	for _, path := range sortedKeys(want) {
		got, err := lookup(doc, path)
		if err != nil {
			return err.Error()
		}
		if !reflect.DeepEqual(got, asJSON(want[path])) {
			return path + " = " + jsonText(got)
		}
	}
	return ""
}

// lookup walks a dotted path; a number selects an element of a list, and "\."
// is a dot of a key.
func lookup(doc any, path string) (any, error) {
	at := doc
	for _, step := range splitPath(path) {
		switch in := at.(type) {
		case map[string]any:
			value, ok := in[step]
			if !ok {
				return nil, fmt.Errorf("no %q on the way to %s", step, path)
			}
			at = value
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(in) {
				return nil, fmt.Errorf("no element %q in a list of %d on the way to %s", step, len(in), path)
			}
			at = in[i]
		default:
			return nil, fmt.Errorf("%s where %s goes on with %q", jsonText(at), path, step)
		}
	}
	return at, nil
}

func splitPath(path string) []string {
	var steps []string
	var step strings.Builder
	for i := 0; i < len(path); i++ {
		switch {
		case path[i] == '\\' && i+1 < len(path):
			i++
			step.WriteByte(path[i])
		case path[i] == '.':
			steps = append(steps, step.String())
			step.Reset()
		default:
			step.WriteByte(path[i])
		}
	}
	return append(steps, step.String())
}

// asJSON turns a value of the definition (YAML's integers among them) into
// what JSON would have made of it.
func asJSON(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return v
	}
	var out any
	if json.Unmarshal(data, &out) != nil {
		return v
	}
	return out
}

func jsonText(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}
