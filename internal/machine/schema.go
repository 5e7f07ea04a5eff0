package machine

import (
	"encoding/json"
	"reflect"
	"slices"
)

// Schema returns the JSON Schema (2020-12) of a definition, generated from the
// types. It accepts what Load finds no structural problem in: keys, types,
// forms and which keys stand together. What several values mean together, and
// whether files exist, only Load sees.
func Schema() ([]byte, error) {
	g := &schemaWriter{defs: map[string]any{}}
	root := g.object(reflect.TypeFor[Definition]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "slipway definition"
	root["description"] = "What a machine is, where it lives, and how it starts and is reached."
	root["required"] = []string{"slipway"}
	root["anyOf"] = []any{required("name", "system"), required("include")}
	root["$defs"] = g.defs
	out, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// schemaWriter gathers the schemas of the struct types it meets.
type schemaWriter struct {
	defs map[string]any
}

// object is the schema of a struct type as a mapping.
func (g *schemaWriter) object(t reflect.Type) map[string]any {
	properties := map[string]any{}
	var need []string
	for _, f := range fieldsOf(t) {
		properties[f.key] = g.property(f)
		if f.required {
			need = append(need, f.key)
		}
	}
	out := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if need != nil {
		out["required"] = need
	}
	g.combine(out, combinations[t])
	return out
}

// combine adds which keys stand together.
func (g *schemaWriter) combine(out map[string]any, rule combination) {
	each := func(keys []string) (list []any) {
		for _, k := range keys {
			list = append(list, required(k))
		}
		return list
	}
	if rule.one != nil {
		out["oneOf"] = each(rule.one)
	}
	if rule.some != nil {
		out["anyOf"] = each(rule.some)
	}
	if rule.needs != nil {
		out["dependentRequired"] = rule.needs
	}
}

func required(keys ...string) map[string]any { return map[string]any{"required": keys} }

// property is the schema of one key, with what an editor shows.
func (g *schemaWriter) property(f field) map[string]any {
	out := map[string]any{}
	if f.require == nil {
		for k, v := range g.value(f.typ, f) {
			out[k] = v
		}
	} else {
		out = g.reference(f.typ.Elem())
		out["required"] = f.require
	}
	out["description"] = f.doc
	if f.standard != "" {
		out["description"] = f.doc + " Default: " + f.standard + "."
	}
	return out
}

// value is the schema of a Go type, with the rule that a field sets.
func (g *schemaWriter) value(t reflect.Type, f field) map[string]any {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if short, ok := shorthands[t]; ok {
		if !short.mapping {
			return short.schema
		}
		return map[string]any{"oneOf": []any{short.schema, g.reference(t)}}
	}
	switch {
	case t == conditionType:
		return g.condition()
	case t == anyMapType:
		return map[string]any{"type": "object"}
	case t == textMapType:
		return g.textMap(f)
	case t == kernelsType, t == textsType:
		one := g.value(t.Elem(), f)
		return map[string]any{"oneOf": []any{one, map[string]any{"type": "array", "items": one}}}
	case t.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": g.value(t.Elem(), f)}
	case t.Kind() == reflect.Struct:
		return g.reference(t)
	}
	return scalarSchema(t.Kind(), f.check)
}

// reference defines a struct type once and refers to it.
func (g *schemaWriter) reference(t reflect.Type) map[string]any {
	if _, known := g.defs[t.Name()]; !known {
		g.defs[t.Name()] = true // ends recursion
		g.defs[t.Name()] = g.object(t)
	}
	return map[string]any{"$ref": "#/$defs/" + t.Name()}
}

func (g *schemaWriter) textMap(f field) map[string]any {
	out := map[string]any{
		"type":                 "object",
		"additionalProperties": map[string]any{"type": []string{"string", "number", "boolean"}},
	}
	if f.keycheck != nil {
		out["propertyNames"] = f.keycheck.schema()
	}
	return out
}

// condition is the schema of a conditional part: selectors, and most keys of
// a definition.
func (g *schemaWriter) condition() map[string]any {
	properties := map[string]any{}
	for _, f := range fieldsOf(reflect.TypeFor[Definition]()) {
		if !slices.Contains(notInParts, f.key) && !slices.Contains(selectors, f.key) {
			properties[f.key] = g.property(f)
		}
	}
	var some []any
	for _, key := range selectors {
		text := map[string]any{"type": "string"}
		properties[key] = map[string]any{
			"description": "Shell pattern, or a list of them, that the machine's " + key + " must match.",
			"oneOf":       []any{text, map[string]any{"type": "array", "items": text}},
		}
		some = append(some, required(key))
	}
	return map[string]any{"type": "object", "properties": properties, "additionalProperties": false, "anyOf": some}
}

// scalarSchema is the schema of a string, bool or number.
func scalarSchema(kind reflect.Kind, r *rule) map[string]any {
	out := map[string]any{"type": "integer"}
	switch kind {
	case reflect.String:
		out["type"] = "string"
	case reflect.Bool:
		out["type"] = "boolean"
	case reflect.Float64:
		out["type"] = "number"
	}
	if r == nil {
		return out
	}
	if kind == reflect.String || kind == reflect.Bool {
		for k, v := range r.schema() {
			out[k] = v
		}
		return out
	}
	if r.above {
		out["exclusiveMinimum"] = r.min
	} else {
		out["minimum"] = r.min
	}
	if r.max != 0 {
		out["maximum"] = r.max
	}
	return out
}

// schema is the part of a schema that states the rule.
func (r *rule) schema() map[string]any {
	switch {
	case r.only:
		return map[string]any{"const": true}
	case r.enum != nil:
		return map[string]any{"enum": r.enum}
	case r.pattern != "":
		return map[string]any{"pattern": r.pattern}
	}
	return map[string]any{}
}

// ruleSchema is the schema of a scalar that obeys a rule.
func ruleSchema(name string) map[string]any {
	r := ruleOf(name)
	kind := reflect.String
	if r.pattern == "" && r.enum == nil {
		kind = reflect.Int
	}
	return scalarSchema(kind, r)
}
