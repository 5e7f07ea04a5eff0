package machine

import (
	"reflect"
	"strings"
	"time"
)

// shorthand is a second way to write a type: a scalar instead of a mapping, or
// a scalar with a form of its own.
type shorthand struct {
	words   string                                                  // completes "want ..."
	kind    kind                                                    // of the short form
	number  string                                                  // hint for a number that lacks something
	mapping bool                                                    // the struct may be written as a mapping too
	set     func(d *decoder, n *node, path string, v reflect.Value) // fills v from the short form
	schema  map[string]any                                          // of the short form
}

// decode fills v when n is the short form, and reports what cannot be either
// form. It returns false when n is to be decoded as a mapping.
func (s *shorthand) decode(d *decoder, n *node, path string, v reflect.Value, _ field) bool {
	if n.kind == mapKind && s.mapping {
		return false
	}
	_, whole, _ := numberOf(n)
	if n.kind != s.kind && !(s.kind == intKind && whole) {
		hint := ""
		if s.kind == stringKind && (n.kind == intKind || n.kind == floatKind) {
			hint = orElse(s.number, "quote it")
		}
		d.wrong(n, path, s.words, hint)
		return true
	}
	s.set(d, n, path, v)
	if pos := v.Kind() == reflect.Struct && v.FieldByName("Pos").IsValid(); pos {
		v.FieldByName("Pos").Set(reflect.ValueOf(n.pos))
	}
	return true
}

const durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+$`

var shorthands map[reflect.Type]*shorthand

func init() {
	shorthands = map[reflect.Type]*shorthand{
		durationType: {number: "write it with its unit", words: "a duration with its unit, for example 90s", kind: stringKind,
			schema: pattern(durationPattern), set: setDuration},
		sizeType: {number: "write it with its unit", words: "a size with its unit, for example 512M", kind: stringKind,
			schema: pattern(sizePattern), set: setSize},
		portType: {number: "write host:machine", words: `a quoted text such as "8080:80"`, kind: stringKind,
			schema: pattern(portPattern), set: setPort},
		reflect.TypeFor[Mirror](): {words: "an address, none, or a mapping with main and security", kind: stringKind, mapping: true,
			schema: pattern(`^none$|` + rules["url"].pattern), set: setMirror},
		reflect.TypeFor[From]():    {words: "a path, or a mapping with file, tree or url", kind: stringKind, mapping: true, schema: ruleSchema("hostpath"), set: setField("file")},
		reflect.TypeFor[Command](): {words: "a command, or a mapping with command", kind: stringKind, mapping: true, schema: ruleSchema("command"), set: setField("command")},
		reflect.TypeFor[Bind]():    {words: `"host:inside", "host:inside:ro", or a mapping`, kind: stringKind, mapping: true, schema: pattern(bindPattern), set: setBind},
		reflect.TypeFor[TCPProbe](): {words: "a port number, or a mapping", kind: intKind, mapping: true,
			schema: ruleSchema("port"), set: setField("port")},
		reflect.TypeFor[UnitProbe](): {words: "the name of a service, or a mapping", kind: stringKind, mapping: true,
			schema: ruleSchema("unit"), set: setField("name")},
		reflect.TypeFor[FileProbe](): {words: "an absolute path, or a mapping", kind: stringKind, mapping: true,
			schema: ruleSchema("abspath"), set: setField("path")},
		reflect.TypeFor[UpdatesProbe](): {words: "true, or a mapping", kind: boolKind, mapping: true,
			schema: map[string]any{"const": true}, set: setUpdates},
	}
}

func pattern(p string) map[string]any { return map[string]any{"type": "string", "pattern": p} }

// setField fills one field of a struct, by its own rule.
func setField(key string) func(*decoder, *node, string, reflect.Value) {
	return func(d *decoder, n *node, path string, v reflect.Value) {
		f, _ := fieldOf(v.Type(), key)
		d.decode(n, path, v.Field(f.index), f)
	}
}

func setDuration(d *decoder, n *node, path string, v reflect.Value) {
	value, err := time.ParseDuration(n.text)
	hint := ""
	if digits(n.text) {
		hint = didYouMean(n.text + "s")
	}
	switch {
	case !durationRule.MatchString(n.text):
		d.refuse(n, path, path+" is "+quote(n.text)+", want a duration with its unit, for example 90s", hint)
	case err != nil || value > maxDuration:
		d.meaningless(n, path, path+" is "+quote(n.text)+", more than a year", "")
	case value <= 0:
		d.meaningless(n, path, path+" is "+quote(n.text)+", want more than nothing", "")
	default:
		v.SetInt(int64(value))
	}
}

// maxDuration bounds what a definition can wait for.
const maxDuration = 366 * 24 * time.Hour

func setSize(d *decoder, n *node, path string, v reflect.Value) {
	value, err := ParseSize(n.text)
	switch {
	case err != nil && !sizeRule.MatchString(n.text):
		d.refuse(n, path, path+": "+err.Error(), hintSize(n.text))
	case err != nil:
		d.meaningless(n, path, path+": "+err.Error(), "")
	default:
		v.SetInt(int64(value))
	}
}

// meaningless reports a value whose form is right and that still cannot be
// used, which the JSON Schema does not see.
func (d *decoder) meaningless(n *node, path, message, hint string) {
	d.bad[path] = true
	d.c.add(Problem{Pos: n.pos, Key: path, Text: n.text, Message: message, Hint: hint})
}

// hintSize guesses what a size in another notation means.
func hintSize(text string) string {
	upper := strings.ToUpper(strings.ReplaceAll(text, " ", ""))
	upper = strings.TrimSuffix(strings.TrimSuffix(upper, "B"), "I")
	if _, err := ParseSize(upper); err == nil {
		return didYouMean(upper)
	}
	return ""
}

func setPort(d *decoder, n *node, path string, v reflect.Value) {
	value, err := ParsePort(n.text)
	if err != nil {
		hint := ""
		if digits(n.text) {
			hint = didYouMean(n.text + ":" + n.text)
		}
		d.c.add(Problem{Pos: n.pos, Key: path, Text: n.text, Message: path + ": " + err.Error(), Hint: hint, structural: !portRule.MatchString(n.text)})
		d.bad[path] = true
		return
	}
	v.Set(reflect.ValueOf(value))
}

func setMirror(d *decoder, n *node, path string, v reflect.Value) {
	if n.text == "none" {
		v.Set(reflect.ValueOf(Mirror{None: true}))
		return
	}
	setField("main")(d, n, path, v)
}

func setUpdates(d *decoder, n *node, path string, _ reflect.Value) {
	if n.value != true {
		d.refuse(n, path, path+" can only be true, or a mapping", "use fails: true for the opposite, or remove it")
	}
}
