package machine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// plainText is text that needs no quotes wherever it stands.
var plainText = newPattern(`^[A-Za-z/][A-Za-z0-9/_.+-]*$`)

// reservedText reads as something else without quotes, in some YAML version.
var reservedText = []string{"true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"}

// writeYAML writes entries in block style. Every value it writes reads back as
// it was: text is plain where that is safe, else quoted as in JSON, which YAML
// includes.
func writeYAML(out *bytes.Buffer, entries []entry, depth int) {
	indent := strings.Repeat("  ", depth)
	for _, e := range entries {
		out.WriteString(indent)
		writeYAMLEntry(out, e, depth)
	}
}

func writeYAMLEntry(out *bytes.Buffer, e entry, depth int) {
	out.WriteString(yamlText(e.key) + ":")
	switch x := generic(e.value).(type) {
	case []entry:
		if len(x) == 0 {
			out.WriteString(" {}\n")
			return
		}
		out.WriteByte('\n')
		writeYAML(out, x, depth+1)
	case []any:
		if len(x) == 0 {
			out.WriteString(" []\n")
			return
		}
		out.WriteByte('\n')
		for _, it := range x {
			writeYAMLItem(out, it, depth+1)
		}
	default:
		out.WriteString(" " + yamlScalar(x) + "\n")
	}
}

// writeYAMLItem writes one entry of a list.
func writeYAMLItem(out *bytes.Buffer, it any, depth int) {
	out.WriteString(strings.Repeat("  ", depth) + "- ")
	switch x := generic(it).(type) {
	case []entry:
		for i, e := range x {
			if i > 0 {
				out.WriteString(strings.Repeat("  ", depth+1))
			}
			writeYAMLEntry(out, e, depth+1)
		}
		if len(x) == 0 {
			out.WriteString("{}\n")
		}
	case []any:
		text, _ := json.Marshal(plainValue(x))
		out.Write(append(text, '\n'))
	default:
		out.WriteString(yamlScalar(x) + "\n")
	}
}

// generic turns a free mapping into sorted entries.
func generic(value any) any {
	m, ok := value.(map[string]any)
	if !ok {
		return value
	}
	out := []entry{}
	for k, v := range m {
		out = append(out, entry{k, v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].key < out[j].key })
	return out
}

// plainValue undoes entries for encoding/json.
func plainValue(value any) any {
	if list, ok := value.([]any); ok {
		out := make([]any, len(list))
		for i, it := range list {
			out[i] = plainValue(it)
		}
		return out
	}
	if entries, ok := value.([]entry); ok {
		out := map[string]any{}
		for _, e := range entries {
			out[e.key] = plainValue(e.value)
		}
		return out
	}
	return value
}

func yamlScalar(value any) string {
	if text, ok := value.(string); ok {
		return yamlText(text)
	}
	if value == nil {
		return "null"
	}
	return fmt.Sprint(value)
}

func yamlText(text string) string {
	if plainText.MatchString(text) && !slices.Contains(reservedText, strings.ToLower(text)) {
		return text
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(text); err != nil {
		return fmt.Sprintf("%q", text)
	}
	return strings.TrimSuffix(out.String(), "\n")
}
