package machine

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// field is one key of a mapping: a struct field with its tags.
type field struct {
	index    int
	key      string
	typ      reflect.Type
	doc      string
	standard string // the default, in words
	example  string
	check    *rule
	keycheck *rule
	required bool
	require  []string // keys that this field's mapping must have
	path     string   // "host", "deb" or "key": how paths are found in it
	remove   bool     // a list that understands "-name"
}

var fieldCache sync.Map // reflect.Type: []field

// fieldsOf returns the keys of a struct type, in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	if known, ok := fieldCache.Load(t); ok {
		return known.([]field)
	}
	var out []field
	for i := range t.NumField() {
		sf := t.Field(i)
		key := sf.Tag.Get("yaml")
		if key == "" || key == "-" {
			continue
		}
		f := field{
			index: i, key: key, typ: sf.Type,
			doc: sf.Tag.Get("doc"), standard: sf.Tag.Get("default"), example: sf.Tag.Get("example"),
			check: ruleOf(sf.Tag.Get("check")), keycheck: ruleOf(sf.Tag.Get("keycheck")),
			required: sf.Tag.Get("required") == "true",
			path:     sf.Tag.Get("path"), remove: sf.Tag.Get("remove") == "true",
		}
		if need := sf.Tag.Get("require"); need != "" {
			f.require = strings.Split(need, ",")
		}
		out = append(out, f)
	}
	fieldCache.Store(t, out)
	return out
}

// ruleOf finds the rule that a tag names; a tag without one is a mistake in
// the types, found by any test.
func ruleOf(name string) *rule {
	if name == "" {
		return nil
	}
	r, ok := rules[name]
	if !ok {
		panic("machine: no rule is called " + name)
	}
	return r
}

// keysOf lists the keys of a struct type.
func keysOf(t reflect.Type) []string {
	var out []string
	for _, f := range fieldsOf(t) {
		out = append(out, f.key)
	}
	return out
}

// fieldOf finds a key of a struct type.
func fieldOf(t reflect.Type, key string) (field, bool) {
	all := fieldsOf(t)
	i := slices.IndexFunc(all, func(f field) bool { return f.key == key })
	if i < 0 {
		return field{}, false
	}
	return all[i], true
}

// combination states which keys of a mapping go together.
type combination struct {
	one   []string            // exactly one of them
	some  []string            // at least one of them
	needs map[string][]string // key: keys that must be there too
}

// probeKinds are the keys of a probe of which exactly one is given.
var probeKinds = []string{
	"http", "tcp", "udp", "dns", "tls", "ssh", "login", "command", "file", "unit", "log",
	"port_closed", "backend", "no_failed_units", "updates", "limit", "reboot",
}

var combinations = map[reflect.Type]combination{
	reflect.TypeFor[File]():     {one: []string{"content", "from", "link", "secret"}},
	reflect.TypeFor[From]():     {one: []string{"file", "tree", "url"}, needs: map[string][]string{"url": {"sha256"}}},
	reflect.TypeFor[Secret]():   {one: []string{"file", "env"}},
	reflect.TypeFor[Password](): {one: []string{"hash_file", "hash_env"}},
	reflect.TypeFor[Probe](): {one: probeKinds, needs: map[string][]string{
		"stdout": {"command"}, "stderr": {"command"}, "contains": {"command"}, "exit": {"command"},
	}},
	reflect.TypeFor[LogProbe]():     {some: []string{"contains", "absent"}},
	reflect.TypeFor[LimitProbe]():   {some: []string{"memory", "disk", "size", "uptime"}},
	reflect.TypeFor[SSHProbe]():     {needs: map[string][]string{"expect": {"command"}}},
	reflect.TypeFor[BackendProbe](): {one: []string{"network", "resolver", "time"}, needs: map[string][]string{"asks": {"resolver"}}},
	reflect.TypeFor[Network]():      {some: []string{"dhcp", "address"}},
	reflect.TypeFor[VMDisk]():       {one: []string{"size", "file"}},
	reflect.TypeFor[Kernel]():       {needs: map[string][]string{"initrd": {"file"}}},
}

// later are keys that come with later targets: known, refused, and told apart
// from misspelt ones.
var later = map[reflect.Type]map[string]string{
	reflect.TypeFor[Definition](): {
		"cloud": "it comes with cloud images", "lab": "it comes with several machines in one file",
		"machines": "it comes with several machines in one file", "install": "it comes with installing to disks",
		"nspawn":  "it comes with that target",
		"libvirt": "it comes with that target", "proxmox": "it comes with that target",
		"uefi": "it comes with that target", "bios": "it comes with that target", "ram": "it comes with that target",
	},
	reflect.TypeFor[Probe](): {
		"benchmark": "it comes with the later targets",
	},
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	sizeType      = reflect.TypeFor[Size]()
	portType      = reflect.TypeFor[Port]()
	kernelsType   = reflect.TypeFor[[]Kernel]()  // one stands for a list of one
	textsType     = reflect.TypeFor[OneOrMore]() // the same
	conditionType = reflect.TypeFor[Condition]()
	textMapType   = reflect.TypeFor[map[string]string]()
	anyMapType    = reflect.TypeFor[map[string]any]()
)
