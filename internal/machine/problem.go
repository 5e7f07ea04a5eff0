package machine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a definition file; lines and columns count from 1,
// columns in characters. A value given on the command line has the File
// "--set KEY" and line 0.
type Position struct {
	File   string
	Line   int
	Column int
}

// String returns file:line:column, or less where less is known.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Problem is one thing that is wrong with a definition.
type Problem struct {
	Pos     Position
	Key     string // dotted path of the value, "" for the file as a whole
	Text    string // the offending text; never that of a secret
	Message string // what is wrong
	Hint    string // what to do about it; may be empty

	structural bool // the JSON Schema finds it too
	order      int  // of the file, in the order of loading
}

// Error returns the problem as one line.
func (p Problem) Error() string {
	line := p.Pos.String() + ": " + p.Message
	if p.Hint != "" {
		line += "; " + p.Hint
	}
	return line
}

// Problems is everything that is wrong with a definition. It is the error
// that Load returns.
type Problems []Problem

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns ps as an error, nil if there are none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// collector gathers problems, each once: the same value may be seen in its own
// file and again after merging.
type collector struct {
	problems Problems
	seen     map[string]bool
	files    map[string]int // display name: order of loading
}

func newCollector() *collector {
	return &collector{seen: map[string]bool{}, files: map[string]int{}}
}

// add records p unless it is known.
func (c *collector) add(p Problem) {
	id := p.Pos.String() + "\x00" + p.Message
	if c.seen[id] {
		return
	}
	c.seen[id] = true
	p.order = c.fileOrder(p.Pos.File)
	c.problems = append(c.problems, p)
}

// fileOrder numbers files in the order in which they were first met.
func (c *collector) fileOrder(file string) int {
	n, ok := c.files[file]
	if !ok {
		n = len(c.files)
		c.files[file] = n
	}
	return n
}

// sorted returns the problems by file and place.
func (c *collector) sorted() Problems {
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.order, b.order),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
		)
	})
	return c.problems
}
