package machine

import (
	"fmt"
	"reflect"
	"strings"
)

// scalar fills a string, bool, int or float64.
func (d *decoder) scalar(n *node, path string, v reflect.Value, f field) {
	switch v.Kind() {
	case reflect.String:
		d.text(n, path, v, f)
	case reflect.Bool:
		d.truth(n, path, v, f)
	default:
		d.number(n, path, v, f)
	}
}

// text fills a string; a number is refused, for 0644 is not "0644".
func (d *decoder) text(n *node, path string, v reflect.Value, f field) {
	want := "text"
	if f.check != nil {
		want = f.check.want
	}
	if n.kind != stringKind {
		hint := ""
		if n.kind == intKind || n.kind == floatKind || n.kind == boolKind {
			hint = fmt.Sprintf("quote it: %q", n.text)
		}
		d.wrong(n, path, want, hint)
		return
	}
	if strings.ContainsRune(n.text, 0) {
		d.bad[path] = true
		d.c.add(Problem{Pos: n.pos, Key: path, Message: path + " contains a NUL character"})
		return
	}
	if f.check != nil && !f.check.accepts(n.text) {
		d.refuse(n, path, fmt.Sprintf("%s is %s, want %s", path, d.show(n, path), want), f.check.advise(n.text))
		return
	}
	if f.remove && strings.HasPrefix(n.text, "-") && !d.removals {
		d.bad[path] = true
		return // reported where the lists were merged
	}
	v.SetString(d.resolve(n, f.path))
}

// truth fills a bool.
func (d *decoder) truth(n *node, path string, v reflect.Value, f field) {
	if n.kind != boolKind {
		d.wrong(n, path, "true or false", hintTruth(n))
		return
	}
	if f.check != nil && f.check.only && n.value != true {
		d.refuse(n, path, path+" can only be true", "use fails: true for the opposite, or remove it")
		return
	}
	v.SetBool(n.value == true)
}

func hintTruth(n *node) string {
	if n.kind != stringKind {
		return ""
	}
	switch strings.ToLower(n.text) {
	case "yes", "on", "y", "true":
		return "write true"
	case "no", "off", "n", "false":
		return "write false"
	}
	return ""
}

// number fills an int or float64.
func (d *decoder) number(n *node, path string, v reflect.Value, f field) {
	want := "a number"
	if f.check != nil {
		want = f.check.want
	}
	value, whole, ok := numberOf(n)
	if !ok || v.Kind() != reflect.Float64 && !whole {
		hint := ""
		if n.kind == stringKind && digits(n.text) {
			hint = "write it without quotes"
		}
		if ok {
			want = "a whole number"
		}
		d.wrong(n, path, want, hint)
		return
	}
	if f.check != nil && !f.check.in(value) || v.Kind() != reflect.Float64 && (value > 1<<53 || value < -(1<<53)) {
		d.refuse(n, path, fmt.Sprintf("%s is %s, want %s", path, n.text, want), "")
		return
	}
	if v.Kind() == reflect.Float64 {
		v.SetFloat(value)
		return
	}
	v.SetInt(int64(value))
}

// numberOf reads a number and tells whether it is a whole one.
func numberOf(n *node) (value float64, whole, ok bool) {
	switch x := n.value.(type) {
	case int64:
		return float64(x), true, true
	case uint64:
		return float64(x), true, true
	case int:
		return float64(x), true, true
	case float64:
		return x, x == float64(int64(x)), true
	}
	return 0, false, false
}

// join appends a key to a dotted path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// listed joins words: "a, b and c".
func listed(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

// listedOr is listed, with a word for an empty list.
func listedOr(words []string, last, none string) string {
	if len(words) == 0 {
		return none
	}
	return listed(words, last)
}

// typeWords says what a struct type is written as.
func typeWords(t reflect.Type) string {
	if short, ok := shorthands[t]; ok {
		return short.words
	}
	return "a mapping"
}
