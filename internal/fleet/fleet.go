package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// Tables of the store.
const (
	tableNodes     = "nodes"
	tableGrants    = "grants"
	tableInventory = "inventory"
	tableRecipes   = "recipes"
	tableHistory   = "history"
)

// Fleet is a Store with meaning: machines, grants, what was seen of them. All
// nodes are in memory, so a look costs no disk; events are gathered and
// written together.
type Fleet struct {
	store Store
	clock func() time.Time
	hub   Watchers // hears of events at once, before they are durable

	saving sync.Mutex // held while a node is written, taken before mu: no older one comes last

	mu       sync.Mutex
	nodes    map[string]*Node
	clients  map[string]string // hardware address to node
	speakers map[string]string // IP address to the node that spoke from it last
	history  map[string]*history
	dirty    map[string]bool // nodes that the store does not have as they are
	oldRuns  map[string]bool // histories likewise
	queue    []Event
	lost     int // events that did not fit
	failed   error
	wake     chan struct{}
	flushing chan chan error
	stop     chan struct{}
	done     chan struct{}
	stopped  bool
}

// Options of a Fleet. The zero value will do.
type Options struct {
	Now func() time.Time
}

// maxQueue bounds the events that wait for the disk.
const maxQueue = 1 << 16

var _ Sink = (*Fleet)(nil)

// New reads the machines of a store and begins to follow them. Close closes
// the store too.
func New(ctx context.Context, store Store, o Options) (*Fleet, error) {
	f := &Fleet{store: store, clock: o.Now, nodes: map[string]*Node{}, clients: map[string]string{}, speakers: map[string]string{}, history: map[string]*history{},
		dirty: map[string]bool{}, oldRuns: map[string]bool{},
		wake: make(chan struct{}, 1), flushing: make(chan chan error), stop: make(chan struct{}), done: make(chan struct{})}
	if f.clock == nil {
		f.clock = time.Now
	}
	for r, err := range store.List(ctx, tableNodes) {
		if err != nil {
			return nil, fmt.Errorf("reading the machines: %w", err)
		}
		n := new(Node)
		if err := json.Unmarshal(r.Value, n); err != nil || n.ID != r.Key {
			continue // it is made anew from what the machine does next
		}
		f.nodes[n.ID] = n
		for _, c := range n.Clients {
			f.clients[c] = n.ID
		}
		if n.Address != "" {
			f.speakers[n.Address] = n.ID
		}
	}
	if err := f.readHistory(ctx); err != nil {
		return nil, err
	}
	if err := f.repairGrants(ctx); err != nil {
		return nil, err
	}
	go f.commit()
	return f, nil
}

// repairGrants ends what the events say is over. Both files would have to be
// cut off at the right places for a used grant to come back.
func (f *Fleet) repairGrants(ctx context.Context) error {
	for r, err := range f.store.List(ctx, tableGrants) {
		if err != nil {
			return fmt.Errorf("reading the grants: %w", err)
		}
		var g Grant
		if err := json.Unmarshal(r.Value, &g); err != nil {
			if _, err := f.store.Write(ctx, Write{tableGrants, r.Key, nil, int64(r.Rev)}); err != nil {
				return fmt.Errorf("removing the unreadable grant of %s: %w", r.Key, err)
			}
			continue
		}
		if !g.open() {
			continue
		}
		events, err := f.store.Events(ctx, Query{Keys: []string{g.Machine}, Since: g.Given.Add(-time.Second)})
		if err != nil {
			return fmt.Errorf("reading the events of %s: %w", g.Machine, err)
		}
		for _, e := range events {
			if e.Kind == KindGrant && e.Fields["id"] == g.ID && (e.Fields["state"] == Consumed || e.Fields["state"] == Expired) {
				g.State, g.Ended, g.Evidence = e.Fields["state"], e.Time, "its event"
				value, _ := json.Marshal(g)
				if _, err := f.store.Write(ctx, Write{tableGrants, r.Key, value, int64(r.Rev)}); err != nil {
					return fmt.Errorf("ending the grant of %s: %w", g.Machine, err)
				}
				break
			}
		}
	}
	return nil
}

func (f *Fleet) now() time.Time { return f.clock().UTC().Round(0) }

// Record implements Sink: the machine is as the event says at once, and the
// event is durable within a moment (Flush waits for that).
func (f *Fleet) Record(e Event) {
	e = f.see(e)
	f.mu.Lock()
	if len(f.queue) >= maxQueue {
		f.lost++
	} else {
		f.queue = append(f.queue, e)
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// see completes an event and takes it into its node.
func (f *Fleet) see(e Event) Event {
	e = e.Bounded()
	if e.Time.IsZero() {
		e.Time = f.now()
	}
	e.Client = canonical(e.Client)
	f.mu.Lock()
	if e.Machine == "" {
		if n := f.nodes[f.clients[e.Client]]; n != nil && n.Name != "" {
			e.Machine = n.ID
		}
	}
	if e.Machine != "" || e.Client != "" {
		n := f.nodeOf(e)
		boots, before, address := n.Boots, n.Stage, n.Address
		n.apply(e)
		if n.Address != address {
			if f.speakers[address] == n.ID {
				delete(f.speakers, address)
			}
			f.speakers[n.Address] = n.ID
		}
		f.own(n, e.Client)
		f.learn(n, e, boots, before)
		f.dirty[n.ID] = true
	}
	f.mu.Unlock()
	f.hub.Tell(Change{Event: &e})
	return e
}

// own files a hardware address under a node. Events take it from an unknown
// machine, never from one with a name: that needs Update.
func (f *Fleet) own(n *Node, client string) {
	if client == "" || !slices.Contains(n.Clients, client) {
		return
	}
	old := f.nodes[f.clients[client]]
	if old != nil && old != n {
		if old.Name != "" {
			return
		}
		f.leave(old.ID, client)
	}
	f.clients[client] = n.ID
}

// nodeOf finds or makes the node of an event.
func (f *Fleet) nodeOf(e Event) *Node {
	id := e.Machine
	if id == "" {
		id = e.Client
		if known, ok := f.clients[id]; ok {
			id = known
		}
	}
	n := f.nodes[id]
	if n == nil {
		n = &Node{ID: id, Name: e.Machine}
		f.nodes[id] = n
	}
	return n
}

// Node returns a machine by its name or by a hardware address of its.
func (f *Fleet) Node(id string) (Node, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.find(id)
	if n == nil {
		return Node{}, false
	}
	return n.Clone(), true
}

func (f *Fleet) find(id string) *Node {
	if n := f.nodes[id]; n != nil {
		return n
	}
	return f.nodes[f.clients[canonical(id)]]
}

// At returns the machine that spoke last from an IP address: a hint, no proof.
func (f *Fleet) At(address string) (Node, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.nodes[f.speakers[address]]
	if n == nil {
		return Node{}, false
	}
	return n.Clone(), true
}

// Nodes returns all machines, by name; unknown ones come last.
func (f *Fleet) Nodes() []Node {
	f.mu.Lock()
	list := make([]Node, 0, len(f.nodes))
	for _, n := range f.nodes {
		list = append(list, n.Clone())
	}
	f.mu.Unlock()
	sort.Slice(list, func(i, j int) bool {
		if (list[i].Name == "") != (list[j].Name == "") {
			return list[i].Name != ""
		}
		return list[i].ID < list[j].ID
	})
	return list
}

// Update changes a machine, makes it if it is not there, and is durable when it
// returns. change must not call the Fleet.
func (f *Fleet) Update(ctx context.Context, id string, change func(*Node) error) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	c, err := f.change(id, change)
	if err != nil {
		f.mu.Unlock()
		return err
	}
	value, err := json.Marshal(c)
	f.mu.Unlock()
	if err == nil {
		_, err = f.store.Write(ctx, Write{tableNodes, c.ID, value, Any})
	}
	if err != nil {
		return fmt.Errorf("writing the record of %s: %w", c.ID, err)
	}
	f.hub.Tell(Change{Record: &Record{Table: tableNodes, Key: c.ID}})
	return nil
}

// Declare is Update for what the fleet's folder says of a machine: it can be
// read there again, so nothing waits for the disk, and many are written at once.
func (f *Fleet) Declare(id string, change func(*Node)) {
	f.mu.Lock()
	var was []byte
	if n := f.find(id); n != nil {
		was, _ = json.Marshal(n)
	}
	c, err := f.change(id, func(n *Node) error { change(n); return nil })
	if err == nil {
		if is, _ := json.Marshal(c); bytes.Equal(was, is) {
			f.mu.Unlock()
			return
		}
		f.dirty[c.ID] = true
	}
	f.mu.Unlock()
	f.hub.Tell(Change{Record: &Record{Table: tableNodes, Key: id}})
}

// change puts a changed copy in the place of a machine; f.mu is held.
func (f *Fleet) change(id string, change func(*Node) error) (*Node, error) {
	n := f.find(id)
	if n == nil {
		n = &Node{ID: id}
	}
	c := n.Clone()
	if err := change(&c); err != nil {
		return nil, err
	}
	c.ID = n.ID
	for i := range c.Clients {
		c.Clients[i] = canonical(c.Clients[i])
	}
	f.nodes[c.ID] = &c
	for _, mac := range n.Clients {
		if f.clients[mac] == c.ID && !slices.Contains(c.Clients, mac) {
			delete(f.clients, mac)
		}
	}
	for _, mac := range c.Clients {
		if old := f.clients[mac]; old != "" && old != c.ID {
			f.leave(old, mac)
		}
		f.clients[mac] = c.ID
	}
	return &c, nil
}

// leave takes a hardware address from a node that no longer owns it; an
// unknown machine that was nothing else is gone.
func (f *Fleet) leave(id, mac string) {
	n := f.nodes[id]
	if n == nil {
		return
	}
	n.Clients = slices.DeleteFunc(n.Clients, func(c string) bool { return c == mac })
	f.dirty[id] = true
	if n.Name == "" && len(n.Clients) == 0 {
		delete(f.nodes, id)
	}
}

// Remove forgets a machine. Its events stay until they are too old.
func (f *Fleet) Remove(ctx context.Context, id string) error {
	f.saving.Lock()
	defer f.saving.Unlock()
	f.mu.Lock()
	n := f.find(id)
	if n == nil {
		f.mu.Unlock()
		return fmt.Errorf("removing %s: %w", id, ErrNotFound)
	}
	delete(f.nodes, n.ID)
	delete(f.dirty, n.ID)
	maps.DeleteFunc(f.clients, func(_, owner string) bool { return owner == n.ID })
	maps.DeleteFunc(f.speakers, func(_, owner string) bool { return owner == n.ID })
	f.mu.Unlock()
	_, err := f.store.Write(ctx, Write{tableNodes, n.ID, nil, Any}, Write{tableInventory, n.ID, nil, Any}, Write{tableGrants, n.ID, nil, Any})
	f.hub.Tell(Change{Record: &Record{Table: tableNodes, Key: n.ID}, Deleted: true})
	return err
}

// Events returns what is kept of a machine, from before it had a name too.
func (f *Fleet) Events(ctx context.Context, id string, since time.Time, last int) ([]Event, error) {
	keys := []string{id}
	if n, ok := f.Node(id); ok {
		keys = append(append([]string{n.ID}, n.Clients...), id)
	}
	if err := f.Flush(ctx); err != nil && !errors.Is(err, ErrClosed) {
		return nil, err
	}
	return f.store.Events(ctx, Query{Keys: keys, Since: since, Last: last})
}

// Watch reports events at once, as Change.Event, and other changes of machines
// as Change.Record with table "nodes".
func (f *Fleet) Watch(ctx context.Context) <-chan Change { return f.hub.Watch(ctx) }

// SetInventory keeps the hardware of a machine, as JSON.
func (f *Fleet) SetInventory(ctx context.Context, id string, hardware json.RawMessage) error {
	if !json.Valid(hardware) {
		return fmt.Errorf("keeping the hardware of %s: it is not JSON", id)
	}
	if err := f.Update(ctx, id, func(n *Node) error { n.Inventory = true; id = n.ID; return nil }); err != nil {
		return err
	}
	_, err := f.store.Write(ctx, Write{tableInventory, id, hardware, Any})
	return err
}

// Inventory returns the hardware of a machine as it was reported, or ErrNotFound.
func (f *Fleet) Inventory(ctx context.Context, id string) (json.RawMessage, error) {
	if n, ok := f.Node(id); ok {
		id = n.ID
	}
	r, err := f.store.Get(ctx, tableInventory, id)
	return r.Value, err
}

// Recipe is what DHCP learnt of a kind of firmware: the answer that it took.
func (f *Fleet) Recipe(ctx context.Context, fingerprint string) (string, error) {
	r, err := f.store.Get(ctx, tableRecipes, fingerprint)
	return string(r.Value), err
}

// SetRecipe remembers it.
func (f *Fleet) SetRecipe(ctx context.Context, fingerprint, recipe string) error {
	_, err := f.store.Write(ctx, Write{tableRecipes, fingerprint, []byte(recipe), Any})
	return err
}

// Store returns the store below, for records of one's own tables.
func (f *Fleet) Store() Store { return f.store }

// canonical writes a hardware address in lower case with colons; what is none
// stays as it is.
func canonical(mac string) string {
	if strings.ContainsAny(mac, ":-.") {
		if hw, err := net.ParseMAC(mac); err == nil {
			return hw.String()
		}
	}
	return mac
}
