package machine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFiles bounds how many files one definition is made of.
const maxFiles = 64

// source is one definition file.
type source struct {
	name    string   // as messages show it
	abs     string   // its absolute path
	root    *node    // the whole mapping
	body    *node    // without include, replace and when
	replace []string // keys that stand alone
	parts   []part   // conditional parts
}

// loader gathers the files of a definition, lowest first.
type loader struct {
	c       *collector
	dirs    map[string]string // name of a file: its folder
	loaded  map[string]bool   // by resolved path
	sources []*source

	boardName string // of the board that was loaded
}

// base is the folder that relative paths start from: that of the file, for
// values of the command line the working folder.
func (l *loader) base(file string) string {
	if dir, ok := l.dirs[file]; ok {
		return dir
	}
	dir, _ := filepath.Abs(".")
	return dir
}

// load reads a file and, before it, the files it includes. chain holds the
// files that led here; at is the entry that names this one.
func (l *loader) load(name string, chain []string, at Position) {
	abs, err := filepath.Abs(name)
	if err != nil {
		l.fail(at, name, "finding "+name+": "+err.Error())
		return
	}
	real := abs
	if r, err := filepath.EvalSymlinks(abs); err == nil {
		real = r
	}
	if i := slices.Index(chain, real); i >= 0 {
		l.fail(at, name, "include cycle: "+l.cycle(append(slices.Clone(chain[i:]), real)))
		return
	}
	if l.loaded[real] {
		return // merged once, where it was named first
	}
	if len(l.loaded) >= maxFiles {
		l.fail(at, name, fmt.Sprintf("more than %d files are included", maxFiles))
		return
	}
	l.loaded[real] = true
	data, err := readFile(abs)
	if err != nil {
		l.unreadable(name, err, at)
		return
	}
	l.dirs[name] = filepath.Dir(abs)
	l.c.fileOrder(name)
	src := l.parse(name, data)
	if src == nil {
		return
	}
	src.abs = abs
	l.board(src, append(slices.Clone(chain), real))
	l.includes(src, append(slices.Clone(chain), real))
	l.sources = append(l.sources, src)
}

func (l *loader) fail(at Position, text, message string) {
	l.c.add(Problem{Pos: at, Key: "include", Text: text, Message: message})
}

// unreadable reports a file that cannot be read, and who includes it.
func (l *loader) unreadable(name string, err error, at Position) {
	var cause *fs.PathError
	if errors.As(err, &cause) {
		err = cause.Err
	}
	if at.File == "" {
		l.c.add(Problem{Pos: Position{File: name}, Text: name, Message: "reading the definition: " + err.Error()})
		return
	}
	l.c.add(Problem{Pos: at, Key: "include", Text: name,
		Message: fmt.Sprintf("reading %s, which %s includes: %v", name, at.File, err),
		Hint:    "paths start from the folder of the file that names them"})
}

// cycle writes a chain of files with short names.
func (l *loader) cycle(chain []string) string {
	names := make([]string, len(chain))
	for i, path := range chain {
		names[i] = filepath.Base(path)
	}
	return strings.Join(names, " -> ")
}

// includes loads the files that src names.
func (l *loader) includes(src *source, chain []string) {
	list := src.root.get("include")
	if list == nil || list.kind != listKind {
		return
	}
	for _, it := range list.items {
		if it.kind != stringKind || !rules["hostpath"].accepts(it.text) {
			continue // reported as a wrong value
		}
		name := it.text
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(src.name), name)
		}
		l.load(name, chain, it.pos)
	}
}

// parse reads one file's text and splits it.
func (l *loader) parse(name string, data []byte) *source {
	root := parse(l.c, name, data)
	if root == nil {
		return nil
	}
	if root.kind != mapKind {
		l.c.add(Problem{Pos: root.pos, Text: root.text, structural: true,
			Message: fmt.Sprintf("the file is %s, want a mapping of keys", root.kind), Hint: "start with: slipway: v1"})
		return nil
	}
	src := &source{name: name, root: root, body: root.without("board", "include", "replace", "when")}
	return src
}

// readFile reads at most one byte more than a definition may have.
func readFile(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFileSize+1))
}
