package solve

import (
	"fmt"
	"sort"
	"strings"

	"slipway/internal/distro/deb/solve/pool"
	"slipway/internal/edits"
)

// Link is one step of a chain: Package Verb Relation, as in
// "web" "depends on" "libfoo (>= 2)".
type Link struct {
	Package  string
	Verb     string
	Relation string
}

// Chain leads from something asked for to a package or a problem.
type Chain []Link

// String is the chain in words: "web depends on A, A depends on B (>= 2)".
func (c Chain) String() string {
	parts := make([]string, len(c))
	for i, l := range c {
		parts[i] = strings.TrimSpace(l.Package + " " + l.Verb + " " + l.Relation)
	}
	return strings.Join(parts, ", ")
}

// ConflictError says that two needs exclude each other. Each chain starts
// with something asked for (or installed) and ends at the point of dispute.
type ConflictError struct {
	First, Second Chain
	Hint          string
}

// Error gives both chains.
func (e *ConflictError) Error() string {
	text := fmt.Sprintf("two needs exclude each other: %s; but %s", e.First, e.Second)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// ImpossibleError says that something needed is not to be had at all.
type ImpossibleError struct {
	Missing string // the relation that nothing satisfies
	Have    string // what there is of that name, "" if nothing
	Chain   Chain
}

// Error names the missing thing and the way to it.
func (e *ImpossibleError) Error() string {
	text := fmt.Sprintf("nothing satisfies %s: %s", e.Missing, e.Chain)
	if e.Have != "" {
		text += "; there is only " + e.Have
	}
	return text
}

// UnknownPackageError says that a name does not exist.
type UnknownPackageError struct {
	Name    string
	From    string
	Nearest []string
}

// Error names the nearest existing names.
func (e *UnknownPackageError) Error() string {
	text := "there is no package " + e.Name
	if e.From != "" {
		text = e.From + ": " + text
	}
	if len(e.Nearest) > 0 {
		text += "; did you mean " + strings.Join(e.Nearest, ", ") + "?"
	}
	return text
}

// RequestError is a request that cannot be read or met as it stands.
type RequestError struct {
	Spec, From, Text string
	Choices          []string // names that would do
}

// Error is the request and what is wrong with it.
func (e *RequestError) Error() string {
	text := e.Spec + ": " + e.Text
	if e.From != "" {
		text = e.From + ": " + text
	}
	if len(e.Choices) > 0 {
		text += ": " + strings.Join(e.Choices, ", ")
	}
	return text
}

func virtualError(w Want, name string, providers []*pool.Package) error {
	e := &RequestError{Spec: w.Spec, From: w.From, Text: "it is a virtual package; name one of those that provide it"}
	if len(providers) == 0 {
		e.Text = "it is a virtual package, and nothing that provides it can be installed"
	}
	for _, q := range providers {
		e.Choices = append(e.Choices, q.Name)
	}
	sort.Strings(e.Choices)
	return e
}

// unknown finds the names nearest to a mistyped one.
func (p *Problem) unknown(w Want, name string) error {
	type near struct {
		name     string
		distance int
	}
	var list []near
	limit := 1 + len(name)/4
	for _, pkg := range p.Pool.All() {
		if len(pkg.Versions) == 0 || pkg.Arch != p.Native {
			continue
		}
		d := edits.Distance(name, pkg.Name, limit)
		if d > limit && len(name) > 3 && strings.Contains(pkg.Name, name) {
			d = limit // "httpd" finds "lighttpd"
		}
		if d <= limit {
			list = append(list, near{pkg.Name, d})
		}
	}
	sort.Slice(list, func(i, j int) bool {
		if list[i].distance != list[j].distance {
			return list[i].distance < list[j].distance
		}
		if len(list[i].name) != len(list[j].name) {
			return len(list[i].name) < len(list[j].name)
		}
		return list[i].name < list[j].name
	})
	e := &UnknownPackageError{Name: name, From: w.From}
	for i := 0; i < len(list) && i < 4; i++ {
		e.Nearest = append(e.Nearest, list[i].name)
	}
	return e
}
