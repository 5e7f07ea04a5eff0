package solve

import "container/list"

// nameState is what is known of a name so far.
type nameState struct {
	chosen       provider
	dirty        *list.Element // in the queue of names to look at again
	open         *list.Element // in the list of names to decide
	requirers    int
	mergeDepends int // counts candidates of the name under review that depend on this one
	mergeProvide int // the same for providing it
	chain        int // the longest chain of dependencies below it
	seen         bool
	locked       bool // decided
	changed      bool // in the list of changes
	recheckDeps  bool
	recheckIf    bool
	hasIf        bool // a provider's install_if is fulfilled
	noIf         bool // no provider's install_if can be fulfilled any more
	hasOptions   bool
	dependersSet bool // all that depend on it are decided
	bare         bool // provided without a version by one of those under review
}

// candidateState is what is known of a package so far.
type candidateState struct {
	conflicts    int
	chain        int
	pinAllowed   uint32 // tags from which it may come
	pinPreferred uint32
	seen         bool
	selectable   bool
	tagOK        bool
	tagPreferred bool
	depsUsed     bool // was in the last group whose dependencies were merged
	depsMerged   bool
	changed      bool
	ifTriggered  bool
	ifFailed     bool
	broken       bool
}

// untagged is the mask of the tag that everything may come from.
const untagged = 1

// solver is one run.
type solver struct {
	*pool
	dirty, open *list.List
	errors      int
	inherit     uint32 // pin of the word of the world that is applied
	order       []*candidate
	why         map[*candidate]string
}

// repositoriesOf is the union of the repositories of some tags.
func (s *solver) repositoriesOf(tags uint32) (mask uint64) {
	for i, m := range s.allowed {
		if tags&(1<<i) != 0 {
			mask |= m
		}
	}
	return mask
}

func (s *solver) breakPackage(c *candidate) {
	if c != nil && !c.broken {
		c.broken = true
		s.errors++
	}
}

func (s *solver) queueDirty(n *name) {
	if n.dirty == nil && !n.locked && (n.requirers > 0 || n.recheckIf) {
		n.dirty = s.dirty.PushBack(n)
	}
}

// queueOpen keeps the list of names to decide: those that are needed, or whose
// install_if is fulfilled.
func (s *solver) queueOpen(n *name) {
	if n.locked {
		return
	}
	want := n.requirers > 0 || n.hasIf
	if want && n.open == nil {
		n.open = s.open.PushFront(n)
	} else if !want && n.open != nil {
		s.open.Remove(n.open)
		n.open = nil
	}
}

// recheckDependers has all names looked at again that depend on n.
func (s *solver) recheckDependers(n *name) {
	for _, r := range n.rdepends {
		if r.seen {
			r.recheckDeps = true
			s.queueDirty(r)
		}
	}
}

func (s *solver) recheckInstallIf(n *name) {
	for _, r := range n.riif {
		if r.seen && !r.noIf {
			r.recheckIf = true
			s.queueDirty(r)
		}
	}
}

func (s *solver) recheckInstallIfOf(c *candidate) {
	s.recheckInstallIf(c.name)
	for _, d := range c.provides {
		s.recheckInstallIf(d.name)
	}
}

// disqualify takes a package out of the choice.
func (s *solver) disqualify(c *candidate) {
	c.selectable = false
	s.recheckDependers(c.name)
	for _, d := range c.provides {
		s.recheckDependers(d.name)
	}
	s.recheckInstallIfOf(c)
}

func (s *solver) requirersChanged(n *name) {
	s.queueOpen(n)
	s.recheckInstallIf(n)
	s.queueDirty(n)
}

// discover prepares a name and all that can be reached from it.
func (s *solver) discover(n *name) {
	if n.seen {
		return
	}
	n.seen, n.noIf = true, true
	for _, p := range n.providers {
		if c := p.c; !c.seen {
			s.prepare(c)
		}
		n.noIf = n.noIf && p.c.ifFailed
		n.chain = max(n.chain, p.c.chain)
	}
	for _, p := range n.providers {
		for _, r := range p.c.name.riif {
			s.discover(r)
		}
		for _, d := range p.c.provides {
			if d.name.seen {
				continue
			}
			for _, r := range d.name.riif {
				s.discover(r)
			}
		}
	}
}

func (s *solver) prepare(c *candidate) {
	c.seen, c.selectable = true, true
	c.pinAllowed, c.pinPreferred = untagged, untagged
	c.ifFailed = len(c.installIf) == 0
	c.tagPreferred = c.Local != "" || c.InstalledSize == 0 || c.repos&s.allowed[0] != 0
	c.tagOK = c.tagPreferred
	for i := range c.depends {
		d := c.depends[i].name
		s.discover(d)
		c.chain = max(c.chain, d.chain+1)
	}
}
