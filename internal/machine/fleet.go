package machine

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
)

// Fleet is a file that lists machines over a base:
//
//	slipway: v1
//	base: node.yaml
//	machines:
//	  - {name: node1, match: {mac: "52:54:00:04:04:03"}}
//	  - {name: node2, match: {serial: 5B5TNM2}, set: {vm.memory: 2G, hostname: n2}}
//
// It is told from a definition by the key machines.
type Fleet struct {
	Slipway  string   `yaml:"slipway" check:"format" required:"true" example:"v1" doc:"Version of the format."`
	Base     string   `yaml:"base" check:"hostpath" path:"host" required:"true" example:"node.yaml" doc:"Definition that all machines of the list begin with."`
	Machines []Member `yaml:"machines" required:"true" doc:"The machines."`

	File string `yaml:"-"` // absolute path

	overrides [][]override // of each machine
	name      string       // as messages show the file
}

// Member is a machine of a list.
type Member struct {
	Name    string         `yaml:"name" check:"label" required:"true" example:"node1" doc:"Name of the machine."`
	Match   Match          `yaml:"match" doc:"By what it is known; in place of netboot.match."`
	Address string         `yaml:"address" check:"ipv4" example:"192.0.2.17" doc:"In place of netboot.address."`
	Set     map[string]any `yaml:"set" default:"none" example:"{vm.memory: 2G}" doc:"Values over the base, by dotted keys as --set takes them."`
	Pos     Position       `yaml:"-"`
}

// LoadFleet reads a list of machines. ok is false when the file is none, but a
// definition (or nothing that can be read as YAML: LoadFleet of a definition
// says what is wrong with it).
func LoadFleet(path string) (f *Fleet, ok bool, err error) {
	c := newCollector()
	c.fileOrder(path)
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, false, err
	}
	data, err := readFile(abs)
	if err != nil {
		return nil, false, fmt.Errorf("reading %s: %w", path, err)
	}
	root := parse(c, path, data)
	if root == nil || root.kind != mapKind || root.get("machines") == nil {
		return nil, false, nil
	}
	f = &Fleet{File: abs, name: path}
	l := &loader{c: c, dirs: map[string]string{path: filepath.Dir(abs)}}
	newDecoder(c, l.base).decode(root, "", reflect.ValueOf(f).Elem(), field{})
	f.members(c, root.get("machines"))
	if err := c.sorted().Err(); err != nil {
		return nil, true, err
	}
	return f, true, nil
}

// members turns what is said of each machine into overrides.
func (f *Fleet) members(c *collector, list *node) {
	first := map[string]Position{}
	for i, item := range list.items {
		if item.kind != mapKind || i >= len(f.Machines) {
			continue // reported as a wrong type
		}
		name := f.Machines[i].Name
		if before, twice := first[name]; twice && name != "" {
			c.add(Problem{Pos: item.pos, Key: fmt.Sprintf("machines.%d.name", i), Text: name,
				Message: fmt.Sprintf("machine %q stands in the list twice", name), Hint: fmt.Sprintf("the first is in line %d", before.Line)})
		}
		first[name] = item.pos
		f.overrides = append(f.overrides, f.overridesOf(item))
	}
}

func (f *Fleet) overridesOf(item *node) (out []override) {
	for _, k := range []struct{ key, target string }{{"name", "name"}, {"match", "netboot.match"}, {"address", "netboot.address"}} {
		if value := item.get(k.key); value != nil {
			out = append(out, f.override(k.target, value))
		}
	}
	if set := item.get("set"); set != nil && set.kind == mapKind {
		for _, p := range set.pairs {
			out = append(out, f.override(p.key, p.value))
		}
	}
	return out
}

func (f *Fleet) override(key string, value *node) override {
	return override{option: f.name, pos: value.pos, keys: strings.Split(key, "."), value: value}
}

// Load loads the definition of a machine of the list.
func (f *Fleet) Load(i int, opt Options) (*Definition, error) {
	opt.over, opt.dirs = f.overrides[i], map[string]string{f.name: filepath.Dir(f.File)}
	d, err := Load(f.Base, opt)
	if err != nil {
		return nil, err
	}
	d.Listed = f.File
	return d, nil
}

// Same says whether machine i of the list is what machine j of another, or of
// an earlier version of it, is: only its line may differ.
func (f *Fleet) Same(i int, other *Fleet, j int) bool {
	if f.Base != other.Base || f.name != other.name || len(f.overrides[i]) != len(other.overrides[j]) {
		return false
	}
	for k, o := range f.overrides[i] {
		p := other.overrides[j][k]
		if !slices.Equal(o.keys, p.keys) || !o.value.same(p.value) {
			return false
		}
	}
	return true
}
