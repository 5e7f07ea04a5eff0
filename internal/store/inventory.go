package store

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// inventory is everything in the store that can be removed.
type inventory struct {
	items []*invItem
	depth map[string]int // of layers: how many lie below
	metas map[string]*LayerMeta
}

type invItem struct {
	Item
	pinned bool
	broken string // why it must go in any case
}

func (inv *inventory) total() (n int64) {
	for _, it := range inv.items {
		n += it.Bytes
	}
	return n
}

// Usage is the size of the parts of a store in bytes, and how many there are.
type Usage struct {
	Layers    int `json:"layers"`
	Packs     int `json:"packs"`
	Objects   int `json:"objects"`
	Tools     int `json:"tools"`
	Images    int `json:"images"`
	Temporary int `json:"temporary"`

	LayerBytes     int64 `json:"layer_bytes"`
	PackBytes      int64 `json:"pack_bytes"`
	ObjectBytes    int64 `json:"object_bytes"`
	ToolBytes      int64 `json:"tool_bytes"`
	ImageBytes     int64 `json:"image_bytes"`
	TemporaryBytes int64 `json:"temporary_bytes"`

	Total int64 `json:"total_bytes"`
}

// Usage measures the store. The folders of layers are taken as they were
// measured when they were committed.
func (s *Store) Usage() (Usage, error) {
	var u Usage
	inv, err := s.takeInventory()
	if err != nil {
		return u, err
	}
	for _, it := range inv.items {
		n, bytes := &u.Objects, &u.ObjectBytes
		switch it.Kind {
		case "layer", "tree":
			n, bytes = &u.Layers, &u.LayerBytes
		case "pack":
			n, bytes = &u.Packs, &u.PackBytes
		case "tool":
			n, bytes = &u.Tools, &u.ToolBytes
		case "image":
			n, bytes = &u.Images, &u.ImageBytes
		case "temporary":
			n, bytes = &u.Temporary, &u.TemporaryBytes
		case "lock":
			continue
		}
		*n++
		*bytes += it.Bytes
		u.Total += it.Bytes
	}
	return u, nil
}

func (s *Store) takeInventory() (*inventory, error) {
	inv := &inventory{depth: make(map[string]int), metas: make(map[string]*LayerMeta)}
	var errs []error
	each := func(dir string, add func(name string)) {
		names, err := os.ReadDir(s.path(dir))
		errs = append(errs, ignoreNotExist(err))
		for _, n := range names {
			add(n.Name())
		}
	}
	each("layers", func(name string) { s.addLayer(inv, name) })
	each("trees", func(name string) {
		if inv.metas[name] == nil && !inv.has("layer", name) {
			inv.add("tree", name, s.path("trees", name)).broken = "belongs to no layer"
		}
	})
	each("tools", func(name string) { s.addTool(inv, name) })
	each("images", func(name string) { s.addMade(inv, "image", "images", name) })
	each("packs", func(name string) { inv.file("pack", name, ".pack", s.path("packs", name)) })
	for kind, k := range objectKinds {
		each(k.dir, func(name string) {
			if strings.HasSuffix(name, k.suffix) {
				inv.file(kind, name, k.suffix, s.path(k.dir, name))
			}
		})
	}
	each("tmp", func(name string) { inv.add("temporary", name, s.path("tmp", name)).broken = "was never finished" })
	each("locks", func(name string) {
		if strings.HasPrefix(name, "layer-") {
			inv.add("lock", name, s.path("locks", name)).broken = "nobody holds it"
		}
	})
	pins, err := s.Pins()
	inv.relate(pins)
	return inv, s.explain("looking through the store", errors.Join(append(errs, err)...))
}

// add measures something; what cannot be read counts as empty.
func (inv *inventory) add(kind, name, path string) *invItem {
	it := &invItem{Item: Item{Kind: kind, Name: name}}
	it.Bytes, _ = diskUsage(path)
	if st, err := os.Lstat(path); err == nil {
		it.LastUse = st.ModTime()
	}
	inv.items = append(inv.items, it)
	return it
}

func (inv *inventory) file(kind, name, suffix, path string) {
	it := inv.add(kind, strings.TrimSuffix(name, suffix), path)
	if !strings.HasSuffix(name, suffix) {
		it.Name, it.broken = name, "is none of ours"
	}
}

func (inv *inventory) has(kind, name string) bool {
	for _, it := range inv.items {
		if it.Kind == kind && it.Name == name {
			return true
		}
	}
	return false
}

func (s *Store) addLayer(inv *inventory, key string) {
	it := inv.add("layer", key, s.path("layers", key))
	var st unix.Stat_t
	if unix.Stat(s.layerPath(key, "meta.json"), &st) == nil {
		it.LastUse = time.Unix(st.Mtim.Unix())
	}
	b, err := os.ReadFile(s.layerPath(key, "meta.json"))
	meta := new(LayerMeta)
	if err != nil || json.Unmarshal(b, meta) != nil || meta.Key != key {
		it.broken = "its description is damaged"
		return
	}
	it.Bytes += meta.TreeBytes
	if !s.layerWhole(key) {
		it.broken = "it has no folder, or was not on the disk when the host stopped"
		return
	}
	inv.metas[key] = meta
}

// relate carries last use and pins down to what a layer needs, and finds
// layers that miss something below.
func (inv *inventory) relate(pins map[string]string) {
	byName := make(map[[2]string]*invItem, len(inv.items))
	for _, it := range inv.items {
		byName[[2]string{it.Kind, it.Name}] = it
	}
	pinned := make(map[string]bool)
	for _, key := range pins {
		pinned[key] = true
		keep(byName[[2]string{"tool", key}], time.Time{}, true)
		keep(byName[[2]string{"image", key}], time.Time{}, true)
	}
	for key := range inv.metas {
		top := byName[[2]string{"layer", key}]
		below, whole := inv.chain(key)
		inv.depth[key] = len(below) - 1
		if !whole {
			top.broken = "a layer below it is gone"
			continue
		}
		for _, k := range below {
			keep(byName[[2]string{"layer", k}], top.LastUse, pinned[key])
			for _, p := range inv.metas[k].Packs {
				keep(byName[[2]string{"pack", p}], top.LastUse, pinned[key])
			}
		}
	}
}

func keep(it *invItem, used time.Time, pinned bool) {
	if it == nil {
		return
	}
	if used.After(it.LastUse) {
		it.LastUse = used
	}
	it.pinned = it.pinned || pinned
}

// chain lists a layer and those below it.
func (inv *inventory) chain(key string) (keys []string, whole bool) {
	for key != "" && len(keys) <= maxDepth {
		m := inv.metas[key]
		if m == nil {
			return keys, false
		}
		keys, key = append(keys, key), m.Parent
	}
	return keys, key == ""
}

// DropLayer forgets a layer because it is damaged. Its folder goes with the
// next GC. None is no error.
func (s *Store) DropLayer(key string) error {
	if err := s.writable("dropping a layer"); err != nil {
		return err
	}
	if !validName(key) {
		return nil
	}
	s.layerMu.Lock()
	defer s.layerMu.Unlock()
	if l := s.layers[key]; l != nil {
		l.close()
		delete(s.layers, key)
	}
	_, err := s.discard(s.path("layers", key))
	return err
}
