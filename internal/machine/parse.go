package machine

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds on what is read. A definition is written by hand: the longest known
// are a few hundred lines.
const (
	maxFileSize = 512 << 10 // bytes of one file
	maxValues   = 50_000    // values that the aliases of one file stand for
	maxDepth    = 48        // nesting of lists and mappings
)

// reader turns one file's bytes into nodes.
type reader struct {
	c       *collector
	file    string
	anchors map[string]*node // nil while the anchor's own value is read
	shared  int              // values that aliases stand for, so far
	flat    bool             // the text is no file, so lines mean nothing
}

// parse reads one YAML document. It returns nil when the bytes cannot be
// used at all; what is wrong is in the collector.
func parse(c *collector, file string, data []byte) *node {
	r := &reader{c: c, file: file, anchors: map[string]*node{}}
	return r.document(data)
}

// parseValue reads the value of a --set option; its place is the option.
func parseValue(c *collector, option, text string) *node {
	if text == "" {
		return &node{pos: Position{File: option}, size: 1}
	}
	r := &reader{c: c, file: option, anchors: map[string]*node{}, flat: true}
	return r.document([]byte(text))
}

// place is where a token stands.
func (r *reader) place(p *token.Position) Position {
	return r.at(p.Line, p.Column)
}

func (r *reader) at(line, column int) Position {
	if r.flat {
		return Position{File: r.file}
	}
	return Position{File: r.file, Line: line, Column: column}
}

// document checks the bytes as a whole before the parser sees them.
func (r *reader) document(data []byte) *node {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	start := r.at(1, 1)
	switch {
	case len(data) > maxFileSize:
		r.fail(start, "", fmt.Sprintf("the file has more than %d bytes", maxFileSize), "put long contents into files of their own (from:)")
		return nil
	case !utf8.Valid(data):
		r.fail(firstInvalid(r.file, data), "", "the file is not valid UTF-8", "")
		return nil
	case bytes.IndexByte(data, 0) >= 0:
		r.fail(start, "", "the file contains a NUL byte, so it is not YAML text", "")
		return nil
	}
	tokens := lexer.Tokenize(string(data))
	if tk := tooDeep(tokens); tk != nil {
		r.fail(r.place(tk.Position), tk.Value, fmt.Sprintf("values are nested more than %d deep", maxDepth), "")
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntaxError(err)
		return nil
	}
	return r.body(file, start)
}

// body returns the one document of a file.
func (r *reader) body(file *ast.File, start Position) *node {
	var found ast.Node
	documents := 0
	for _, d := range file.Docs {
		if d.Body == nil {
			continue
		}
		if _, ok := d.Body.(*ast.DirectiveNode); ok {
			continue
		}
		documents++
		if documents == 1 {
			found = d.Body
			continue
		}
		r.fail(r.documentStart(d), "---", "a second YAML document starts here", "write one definition in each file")
	}
	if found == nil {
		r.fail(start, "", "the file is empty", "start with: slipway: v1")
		return nil
	}
	return r.convert(found)
}

// documentStart is where a document's marker stands.
func (r *reader) documentStart(d *ast.DocumentNode) Position {
	if d.Start != nil {
		return r.place(d.Start.Position)
	}
	return r.place(d.Body.GetToken().Position)
}

// syntaxError reports what the YAML parser says, without its drawing.
func (r *reader) syntaxError(err error) {
	pos := r.at(1, 1)
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) {
		r.fail(pos, "", "reading YAML: "+err.Error(), "")
		return
	}
	text := ""
	if syntax.Token != nil {
		pos = r.place(syntax.Token.Position)
		if syntax.Token.CharacterType == token.CharacterTypeIndicator {
			text = syntax.Token.Value // other text may be a secret
		}
	}
	hint := ""
	if text != "" {
		hint = "at " + quote(text)
	}
	r.fail(pos, text, "not valid YAML: "+syntax.Message, hint)
}

func (r *reader) fail(pos Position, text, message, hint string) {
	r.c.add(Problem{Pos: pos, Text: text, Message: message, Hint: hint})
}

// drop reports a value that definitions do not use.
func (r *reader) drop(out *node, text, message, hint string) *node {
	r.fail(out.pos, text, message, hint)
	out.broken = true
	return out
}

// convert turns a parsed value into a node. What definitions do not use is
// reported and replaced by an empty value.
func (r *reader) convert(n ast.Node) *node {
	out := &node{pos: r.place(n.GetToken().Position), size: 1, text: n.GetToken().Value}
	switch v := n.(type) {
	case *ast.NullNode:
		out.kind = nullKind
	case *ast.BoolNode:
		out.kind, out.value = boolKind, v.Value
	case *ast.IntegerNode:
		out.kind, out.value = intKind, v.Value
	case *ast.FloatNode:
		out.kind, out.value = floatKind, v.Value
	case *ast.StringNode:
		out.kind, out.text = stringKind, v.Value
	case *ast.LiteralNode:
		out.kind, out.text = stringKind, v.Value.Value
	case *ast.SequenceNode:
		out.kind = listKind
		for _, it := range v.Values {
			r.append(out, r.convert(it))
		}
	case *ast.MappingNode:
		r.mapping(out, v.Values)
	case *ast.MappingValueNode:
		r.mapping(out, []*ast.MappingValueNode{v})
	case *ast.AnchorNode:
		return r.anchor(v)
	case *ast.AliasNode:
		return r.alias(v, out)
	case *ast.InfinityNode, *ast.NanNode:
		r.drop(out, out.text, quote(out.text)+" is not a number that a definition can use", "")
	case *ast.TagNode:
		r.drop(out, out.text, "YAML tag "+quote(out.text)+" is not used in definitions", "remove it")
	default:
		r.drop(out, out.text, "YAML feature not used in definitions: "+n.Type().String(), "")
	}
	return out
}

// mapping fills out from key-value pairs; a key given twice is an error.
func (r *reader) mapping(out *node, values []*ast.MappingValueNode) {
	out.kind = mapKind
	if len(values) > 0 {
		out.pos = r.place(values[0].Key.GetToken().Position)
	}
	first := map[string]Position{}
	for _, v := range values {
		key, ok := r.key(v.Key)
		if !ok {
			continue
		}
		pos := r.place(v.Key.GetToken().Position)
		if before, dup := first[key]; dup {
			r.fail(pos, key, fmt.Sprintf("key %q is given twice", key), fmt.Sprintf("the first is in line %d", before.Line))
			continue
		}
		first[key] = pos
		value := r.convert(v.Value)
		out.pairs = append(out.pairs, pair{key: key, pos: pos, value: value})
		out.size += value.size
	}
}

// key returns the text of a mapping's key.
func (r *reader) key(k ast.MapKeyNode) (string, bool) {
	pos := r.place(k.GetToken().Position)
	switch v := k.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.MergeKeyNode:
		r.fail(pos, "<<", "YAML merge keys (<<) are not used in definitions", "use include")
	case *ast.IntegerNode, *ast.BoolNode, *ast.FloatNode:
		return k.GetToken().Value, true
	default:
		r.fail(pos, k.GetToken().Value, "a key must be plain text", "")
	}
	return "", false
}

func (r *reader) append(list, item *node) {
	list.items = append(list.items, item)
	list.size += item.size
}

// anchor reads the value that an anchor names.
func (r *reader) anchor(v *ast.AnchorNode) *node {
	name := v.Name.GetToken().Value
	r.anchors[name] = nil
	out := r.convert(v.Value)
	r.anchors[name] = out
	return out
}

// alias shares the value that an anchor named, as long as the whole stays
// within bounds: nested aliases grow exponentially.
func (r *reader) alias(v *ast.AliasNode, out *node) *node {
	name := v.Value.GetToken().Value
	target, known := r.anchors[name]
	switch {
	case !known:
		r.drop(out, name, fmt.Sprintf("alias *%s has no anchor &%s above it", name, name), "")
	case target == nil:
		r.drop(out, name, fmt.Sprintf("alias *%s stands inside its own anchor", name), "")
	case r.shared+target.size > maxValues:
		r.drop(out, name, fmt.Sprintf("aliases stand for more than %d values", maxValues), "write the values out or use fewer aliases")
	default:
		r.shared += target.size
		return target
	}
	return out
}

// firstInvalid finds the place of the first byte that is no UTF-8.
func firstInvalid(file string, data []byte) Position {
	pos := Position{File: file, Line: 1, Column: 1}
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		if r == utf8.RuneError && n == 1 {
			break
		}
		pos.Column++
		if r == '\n' {
			pos.Line, pos.Column = pos.Line+1, 1
		}
		data = data[n:]
	}
	return pos
}
