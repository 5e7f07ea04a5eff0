package modules

import (
	"fmt"
	"sort"
	"strings"
)

// MissingError names modules that are wanted but neither files nor part of the
// kernel.
type MissingError struct {
	Version string
	Names   []string
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("kernel %s has no module %s (neither in /lib/modules/%s nor built in): name the modules of another kernel, or leave it out",
		e.Version, strings.Join(e.Names, ", "), e.Version)
}

// Closure gives the wanted modules with all that they need, in an order in
// which they can be loaded. Optional ones may be missing. What is part of the
// kernel is left out. Equal input gives equal output.
func (t *Tree) Closure(wanted, optional []string) ([]string, error) {
	c := closure{tree: t, state: map[string]bool{}}
	missing := map[string]bool{}
	for _, name := range wanted {
		if found := t.resolve(name); len(found) > 0 {
			c.addAll(found)
		} else if !t.Builtin(name) {
			missing[name] = true
		}
	}
	for _, name := range optional {
		c.addAll(t.resolve(name))
	}
	for _, name := range c.broken {
		missing[name] = true
	}
	if len(missing) > 0 {
		names := make([]string, 0, len(missing))
		for name := range missing {
			names = append(names, name)
		}
		sort.Strings(names)
		return nil, &MissingError{Version: t.Version, Names: names}
	}
	return c.order, nil
}

type closure struct {
	tree   *Tree
	state  map[string]bool // present: visited
	order  []string
	broken []string // needed by another, and not there
}

func (c *closure) addAll(names []string) {
	for _, name := range names {
		c.add(name)
	}
}

func (c *closure) add(name string) {
	if c.state[name] {
		return
	}
	c.state[name] = true // before its dependencies: a cycle ends here
	t := c.tree
	if t.files[name] == "" {
		if !t.builtin[name] {
			c.broken = append(c.broken, name)
		}
		return
	}
	// depmod writes the deepest last; each is added with its own dependencies.
	deps := t.deps[name]
	for i := len(deps) - 1; i >= 0; i-- {
		c.add(deps[i])
	}
	for _, soft := range t.pre[name] {
		c.addAll(t.resolve(soft))
	}
	c.order = append(c.order, name)
	for _, soft := range t.post[name] {
		c.addAll(t.resolve(soft))
	}
}
