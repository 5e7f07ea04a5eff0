package install

import (
	"bytes"
	"strings"

	"slipway/internal/distro/deb/debfile"
)

// statusOrder is the order in which dpkg writes the fields it knows; all
// others follow in the order of the package's control file.
var statusOrder = []string{
	"Package", "Essential", "Protected", "Status", "Priority", "Section", "Installed-Size",
	"Origin", "Maintainer", "Bugs", "Architecture", "Multi-Arch", "Source", "Version",
	"Config-Version", "Replaces", "Provides", "Depends", "Pre-Depends", "Recommends",
	"Suggests", "Breaks", "Conflicts", "Enhances", "Conffiles", "Description",
	"Triggers-Pending", "Triggers-Awaited",
}

// relations are kept on one line.
var relations = map[string]bool{
	"replaces": true, "provides": true, "depends": true, "pre-depends": true, "recommends": true,
	"suggests": true, "breaks": true, "conflicts": true, "enhances": true,
}

// known maps a lower-case name to its place in statusOrder.
var known = func() map[string]int {
	m := map[string]int{}
	for i, name := range statusOrder {
		m[strings.ToLower(name)] = i
	}
	return m
}()

// writeStanza writes one package of the status file, with its blank line.
func writeStanza(b *bytes.Buffer, fields debfile.Paragraph) {
	var ordered [28]*debfile.Field
	for i := range fields {
		if k, ok := known[strings.ToLower(fields[i].Name)]; ok {
			ordered[k] = &fields[i]
		}
	}
	for k, f := range ordered {
		if f != nil && !omitted(statusOrder[k], f.Value) {
			writeField(b, statusOrder[k], f.Value)
		}
	}
	for _, f := range fields {
		if _, ok := known[strings.ToLower(f.Name)]; !ok {
			writeField(b, f.Name, f.Value)
		}
	}
	b.WriteByte('\n')
}

// omitted tells whether dpkg leaves out a field with this value.
func omitted(name, value string) bool {
	switch name {
	case "Essential", "Protected":
		return !strings.EqualFold(value, "yes")
	case "Multi-Arch":
		return strings.EqualFold(value, "no")
	}
	return value == ""
}

func writeField(b *bytes.Buffer, name, value string) {
	if relations[strings.ToLower(name)] {
		value = relation(value)
	}
	b.WriteString(name)
	b.WriteByte(':')
	if value != "" && value[0] != '\n' {
		b.WriteByte(' ')
	}
	b.WriteString(value)
	b.WriteByte('\n')
}

// relation prints a relationship field as dpkg does: on one line, as
// "a | b, c (>= 1)".
func relation(value string) string {
	groups := strings.Split(strings.TrimSuffix(strings.TrimSpace(value), ","), ",")
	for i, g := range groups {
		alternatives := strings.Split(g, "|")
		for k, a := range alternatives {
			alternatives[k] = alternative(strings.Join(strings.Fields(a), " "))
		}
		groups[i] = strings.Join(alternatives, " | ")
	}
	return strings.Join(groups, ", ")
}

func alternative(a string) string {
	name, version, ok := strings.Cut(a, "(")
	if !ok {
		return a
	}
	version = strings.TrimSpace(strings.TrimSuffix(version, ")"))
	n := 0
	for n < len(version) && strings.IndexByte("<>=", version[n]) >= 0 {
		n++
	}
	op := version[:n]
	switch op { // policy 7.1: the obsolete forms mean these
	case "<", ">":
		op += "="
	case "":
		op = "="
	}
	return strings.TrimSpace(name) + " (" + op + " " + strings.TrimSpace(version[n:]) + ")"
}

// set changes or adds a field; an empty value removes it.
func set(p debfile.Paragraph, name, value string) debfile.Paragraph {
	for i := range p {
		if !strings.EqualFold(p[i].Name, name) {
			continue
		}
		if value == "" {
			return append(p[:i:i], p[i+1:]...)
		}
		p[i].Value = value
		return p
	}
	if value == "" {
		return p
	}
	return append(p, debfile.Field{Name: name, Value: value})
}
