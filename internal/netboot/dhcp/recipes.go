package dhcp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Recipe is a form of the boot answer. Firmware exists that understands only
// one of them.
type Recipe string

// The recipes, in the order in which they are tried.
const (
	// RecipeDirect puts all into the offer: vendor class, siaddr and file, and
	// option 43 that says "do not look for boot servers, load this".
	RecipeDirect Recipe = "direct"
	// RecipeServer offers a boot server only; the file is in its answer on
	// port 4011.
	RecipeServer Recipe = "server"
	// RecipeHeader is an answer as to BOOTP: siaddr and file, no vendor class.
	RecipeHeader Recipe = "header"
)

var recipeOrder = []Recipe{RecipeDirect, RecipeServer, RecipeHeader}

// Recipes remembers which recipe a make of firmware understood. A make is the
// first half of the hardware address, the vendor class, the architectures and
// the form of the UUID.
type Recipes struct {
	path string // empty: memory only

	writing sync.Mutex // held while the file is written, so that packets need not wait for the disk

	mu    sync.Mutex
	known map[string]Recipe
}

// maxMakes bounds the memory; a network has a few dozen makes.
const maxMakes = 4096

// MemoryRecipes makes an empty memory that is not kept.
func MemoryRecipes() *Recipes { return &Recipes{known: map[string]Recipe{}} }

// OpenRecipes reads what was learned before. A file that cannot be understood
// is an error; one that is not there is made when something is learned.
func OpenRecipes(path string) (*Recipes, error) {
	r := MemoryRecipes()
	r.path = path
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what firmware understands: %w", err)
	}
	if err := json.Unmarshal(data, &r.known); err != nil {
		return nil, fmt.Errorf("reading what firmware understands: %s is damaged (%w); remove it, it is learned again", path, err)
	}
	if r.known == nil {
		r.known = map[string]Recipe{}
	}
	return r, nil
}

// Known returns what is remembered, by make.
func (r *Recipes) Known() map[string]Recipe {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]Recipe, len(r.known))
	for k, v := range r.known {
		out[k] = v
	}
	return out
}

func (r *Recipes) of(firmware string) (Recipe, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	recipe, ok := r.known[firmware]
	return recipe, ok
}

// learn remembers that a make of firmware loaded what it was offered.
func (r *Recipes) learn(firmware string, recipe Recipe) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	if r.known[firmware] == recipe || len(r.known) >= maxMakes && r.known[firmware] == "" {
		r.mu.Unlock()
		return nil
	}
	r.known[firmware] = recipe
	data, err := json.MarshalIndent(r.known, "", "  ")
	r.mu.Unlock()
	if r.path == "" {
		return nil
	}
	if err == nil {
		err = writeFile(r.path, append(data, '\n'))
	}
	if err != nil {
		return fmt.Errorf("remembering what firmware understands: %w", err)
	}
	return nil
}

// writeFile replaces a file so that it is whole at every moment.
func writeFile(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
