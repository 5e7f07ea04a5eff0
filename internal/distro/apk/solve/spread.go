package solve

// satisfiable tells whether a dependency can still be fulfilled.
func (s *solver) satisfiable(d *dependency) bool {
	n := d.name
	if n.locked {
		return d.by(n.chosen)
	}
	if n.requirers == 0 && d.by(none) {
		return true
	}
	for _, p := range n.providers {
		if p.c.selectable && d.by(p) {
			return true
		}
	}
	return false
}

// inheritPins lets a package come from where the one that needs it may.
func (s *solver) inheritPins(c, from *candidate) {
	if from != nil {
		c.pinAllowed |= from.pinAllowed
	} else { // a word of the world
		c.pinAllowed |= s.inherit
		c.pinPreferred = s.inherit
		c.tagPreferred = c.repos&s.repositoriesOf(c.pinPreferred) != 0
	}
	c.tagOK = c.tagOK || c.repos&s.repositoriesOf(c.pinAllowed) != 0
}

// constrain makes a dependency hold from now on.
func (s *solver) constrain(from *candidate, d *dependency) {
	n := d.name
	if !d.Conflict {
		if n.requirers++; n.requirers == 1 {
			s.requirersChanged(n)
		}
	}
	for _, p := range n.providers {
		ok := d.by(p)
		if !ok {
			p.c.conflicts++
		}
		if p.c.selectable && p.c.conflicts > 0 {
			s.disqualify(p.c)
		}
		if ok {
			s.inheritPins(p.c, from)
		}
	}
}

// excludeOthers takes out what provides n but not must, which all that can be
// chosen for must also provide.
func (s *solver) excludeOthers(n, must *name, spareBare bool) {
	if n == must {
		return
	}
	for _, p := range n.providers {
		if p.c.name == must || !p.c.selectable || spareBare && p.version == "" {
			continue
		}
		also := false
		for _, d := range p.c.provides {
			also = also || d.name == must || spareBare && d.Version == ""
		}
		if !also {
			s.disqualify(p.c)
		}
	}
}

// count advances a counter that is at n, and tells whether it did.
func count(counter *int, n int) bool {
	if *counter != n {
		return false
	}
	*counter = n + 1
	return true
}

// complete tells whether a counter reached n, and resets it.
func complete(counter *int, n int) bool {
	reached := *counter == n
	*counter = 0
	return reached
}

// review looks at a name again: who can still provide it, and what follows.
func (s *solver) review(n *name) {
	deps, ifs := n.recheckDeps, n.recheckIf
	n.recheckDeps, n.recheckIf = false, false
	var first *candidate
	options, untaggedOnly := 0, 0
	hasIf, noIf := false, true
	for _, p := range n.providers {
		c := p.c
		c.depsMerged = false
		if deps && c.selectable && !s.allSatisfiable(c) {
			s.disqualify(c)
		}
		if !c.selectable {
			continue
		}
		if ifs {
			s.reviewInstallIf(c)
		}
		hasIf, noIf = hasIf || c.ifTriggered, noIf && c.ifFailed
		if n.requirers == 0 {
			continue
		}
		if first == nil {
			first = c
		}
		c.depsMerged = true
		s.merge(p, options)
		if !c.tagOK {
			untaggedOnly++
		}
		options++
	}
	n.hasOptions = options > 1 || untaggedOnly > 0
	n.hasIf, n.noIf = hasIf, noIf
	s.queueOpen(n)
	if first != nil {
		s.spread(n, first, options)
	}
	n.dependersSet = true
	for _, r := range n.rdepends {
		if r.seen && !r.locked {
			n.dependersSet = false
			break
		}
	}
}

func (s *solver) allSatisfiable(c *candidate) bool {
	for i := range c.depends {
		if !s.satisfiable(&c.depends[i]) {
			return false
		}
	}
	return true
}

func (s *solver) reviewInstallIf(c *candidate) {
	if !c.ifTriggered && !c.ifFailed {
		c.ifTriggered = true
		for i := range c.installIf {
			d := &c.installIf[i]
			if !d.name.locked {
				c.ifTriggered = false
				break
			}
			if !d.by(d.name.chosen) {
				c.ifTriggered, c.ifFailed = false, true
				break
			}
		}
	}
	if c.ifTriggered {
		for _, d := range c.installIf {
			s.inheritPins(c, d.name.chosen.c)
		}
	}
}

// merge counts what the candidates under review have in common.
func (s *solver) merge(p provider, options int) {
	for _, d := range p.c.depends {
		if !d.Conflict {
			count(&d.name.mergeDepends, options)
		}
	}
	if count(&p.c.name.mergeProvide, options) {
		p.c.name.bare = p.c.name.bare || p.version == ""
	}
	for _, d := range p.c.provides {
		if count(&d.name.mergeProvide, options) {
			d.name.bare = d.name.bare || d.Version == ""
		}
	}
}

// spread makes what all candidates have in common hold.
func (s *solver) spread(n *name, first *candidate, options int) {
	for _, p := range n.providers {
		p.c.depsUsed = p.c.depsMerged
	}
	for i := range first.depends {
		d := &first.depends[i]
		if !complete(&d.name.mergeDepends, options) {
			continue
		}
		if options == 1 {
			s.constrain(first, d)
		} else if d.name.requirers == 0 {
			d.name.requirers++
			s.requirersChanged(d.name)
			for _, p := range d.name.providers {
				s.inheritPins(p.c, first)
			}
		}
	}
	if complete(&first.name.mergeProvide, options) {
		s.excludeOthers(first.name, n, first.name.bare)
	}
	for _, d := range first.provides {
		if complete(&d.name.mergeProvide, options) {
			s.excludeOthers(d.name, n, d.name.bare)
		}
	}
	first.name.bare = false
	for _, d := range first.provides {
		d.name.bare = false
	}
}
