package machine

import (
	"embed"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Boards are data: each is a definition's lower part, with the same keys. It
// says where the board looks for its loader, which console it has, and which
// packages and modules it needs. docs/boards.md says what was tried.
//
//go:embed boards
var boardFiles embed.FS

// Boards lists the boards that slipway knows.
var Boards = sync.OnceValue(func() []string {
	entries, err := boardFiles.ReadDir("boards")
	if err != nil {
		panic(err) // embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	slices.Sort(names)
	return names
})

// BoardFile is the text of a board that slipway knows.
func BoardFile(name string) ([]byte, bool) {
	data, err := boardFiles.ReadFile("boards/" + name + ".yaml")
	return data, err == nil
}

func hintBoard(text string) string {
	if near := didYouMean(nearest(text, Boards())); near != "" {
		return near
	}
	return "boards: " + strings.Join(Boards(), ", ") + "; or a path with a slash, ./my-board.yaml"
}

// board loads what lies below a file because it names a board. Paths in a board
// that slipway knows start from the folder of the file that names it: what such
// a board wants from there, its comment says.
func (l *loader) board(src *source, chain []string) {
	key := src.root.get("board")
	if key == nil || key.kind != stringKind || !rules["board"].accepts(key.text) {
		return // reported as a wrong value
	}
	if l.boardName != "" && l.boardName != key.text {
		l.c.add(Problem{Pos: key.pos, Key: "board", Text: key.text, Message: "the machine is for " + l.boardName + " already", Hint: "a machine is for one board"})
		return
	}
	l.boardName = key.text
	data, known := BoardFile(key.text)
	if !known {
		name := key.text
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(src.name), name)
		}
		l.load(name, chain, key.pos)
		return
	}
	name := "board " + key.text
	if l.loaded[name] {
		return
	}
	l.loaded[name] = true
	l.dirs[name] = l.base(src.name)
	l.c.fileOrder(name)
	if b := l.parse(name, data); b != nil {
		l.sources = append(l.sources, b)
	}
}
