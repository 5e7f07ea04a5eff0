package control

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Limits of the reader. The largest paragraphs known (kernel sources) are
// well under 100 KiB, and the longest line of an archive some 30 KiB.
const (
	MaxLine      = 1 << 20 // bytes of one line
	MaxParagraph = 4 << 20 // bytes of one paragraph
	MaxFields    = 512     // fields of one paragraph
)

// Field is one field of a paragraph. Value has the lines after the first
// joined by newlines, each with its leading blank, as in the file.
type Field struct {
	Name  string
	Value []byte
}

// Paragraph is one stanza with its fields in file order. Its memory belongs
// to the Reader and is valid until the next call of Next.
type Paragraph struct {
	Fields []Field
	Line   int // of its first field, counted from 1
}

// Get returns a field's value, or "". Names are compared without case.
func (p *Paragraph) Get(name string) string { return string(p.Bytes(name)) }

// Bytes is Get without the copy.
func (p *Paragraph) Bytes(name string) []byte {
	for i := range p.Fields {
		if equalFold(p.Fields[i].Name, name) {
			return p.Fields[i].Value
		}
	}
	return nil
}

// Has reports whether the field is there, be it empty.
func (p *Paragraph) Has(name string) bool {
	for i := range p.Fields {
		if equalFold(p.Fields[i].Name, name) {
			return true
		}
	}
	return false
}

// equalFold compares ASCII strings without case.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Reader reads deb822 paragraphs one after another in bounded memory.
// Comment lines ("#" in the first column) are skipped.
type Reader struct {
	in       *bufio.Reader
	line     int
	names    map[string]string // field names seen, so that each is allocated once
	par      Paragraph
	text     []byte // values of the current paragraph, back to back
	ends     []int  // where each field's value ends in text
	overflow []byte // a line longer than the input buffer
}

// NewReader reads paragraphs from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, 64<<10), names: map[string]string{}}
}

// Next returns the next paragraph, or io.EOF. The paragraph is overwritten by
// the next call.
func (r *Reader) Next() (*Paragraph, error) {
	r.par.Fields, r.text, r.ends = r.par.Fields[:0], r.text[:0], r.ends[:0]
	for {
		line, err := r.readLine()
		if err != nil && err != io.EOF {
			return nil, err
		}
		atEnd := err == io.EOF
		if blank(line) {
			if len(r.par.Fields) > 0 {
				return r.finish(), nil
			}
			if atEnd {
				return nil, io.EOF
			}
			continue
		}
		if line[0] != '#' {
			if err := r.add(line); err != nil {
				return nil, fmt.Errorf("line %d: %w", r.line, err)
			}
		}
		if atEnd && len(r.par.Fields) > 0 {
			return r.finish(), nil
		}
	}
}

// finish points the fields' values into the text, which has stopped moving.
func (r *Reader) finish() *Paragraph {
	start := 0
	for i, end := range r.ends {
		r.par.Fields[i].Value = r.text[start:end:end]
		start = end
	}
	return &r.par
}

// add takes one line that is neither blank nor a comment.
func (r *Reader) add(line []byte) error {
	if len(r.text)+len(line) > MaxParagraph {
		return fmt.Errorf("the paragraph is longer than %d bytes", MaxParagraph)
	}
	if line[0] == ' ' || line[0] == '\t' {
		return r.continueField(line)
	}
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return fmt.Errorf("expected \"Field: value\", got %.40q", line)
	}
	name := bytes.TrimRight(line[:colon], " \t")
	if !validName(name) {
		return fmt.Errorf("%.40q is not a field name", name)
	}
	if len(r.par.Fields) == MaxFields {
		return fmt.Errorf("the paragraph has more than %d fields", MaxFields)
	}
	if len(r.par.Fields) == 0 {
		r.par.Line = r.line
	}
	r.par.Fields = append(r.par.Fields, Field{Name: r.name(name)})
	r.text = append(r.text, bytes.TrimSpace(line[colon+1:])...)
	r.ends = append(r.ends, len(r.text))
	return nil
}

func (r *Reader) continueField(line []byte) error {
	if len(r.par.Fields) == 0 {
		return errors.New("a continued line, but no field before it")
	}
	r.text = append(r.text, '\n')
	r.text = append(r.text, bytes.TrimRight(line, " \t\r")...)
	r.ends[len(r.ends)-1] = len(r.text)
	return nil
}

// validName holds for printable ASCII without blanks, as deb822(5) demands.
func validName(name []byte) bool {
	for _, c := range name {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(name) > 0 && name[0] != '-' && name[0] != '#'
}

// name returns the string for a field name, allocating it at its first use.
// An input that invents names without end does not make the table grow.
func (r *Reader) name(b []byte) string {
	if s, ok := r.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(r.names) < MaxFields {
		r.names[s] = s
	}
	return s
}

// readLine returns the next line without its newline; valid until the next
// call. With the last line comes io.EOF.
func (r *Reader) readLine() ([]byte, error) {
	r.line++
	line, err := r.in.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		line, err = r.readLong(line)
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	return line, err
}

// readLong collects a line that does not fit into the input buffer.
func (r *Reader) readLong(start []byte) ([]byte, error) {
	r.overflow = append(r.overflow[:0], start...)
	for {
		part, err := r.in.ReadSlice('\n')
		if len(r.overflow)+len(part) > MaxLine {
			return nil, fmt.Errorf("line %d: longer than %d bytes", r.line, MaxLine)
		}
		r.overflow = append(r.overflow, part...)
		if err != bufio.ErrBufferFull {
			return r.overflow, err
		}
	}
}

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
