package solve

// changes lists what was decided in the order of installation: what a package
// needs comes before it, what is installed because of it right after. The base
// comes first; split is where the rest begins.
func (s *solver) changes(base, rest []word) (split int) {
	for i := range base {
		s.follow(nil, &base[i].dependency, "base")
	}
	split = len(s.order)
	for i := range rest {
		s.follow(nil, &rest[i].dependency, "definition")
	}
	return split
}

// follow enters what a dependency was decided to.
func (s *solver) follow(from *candidate, d *dependency, why string) {
	if !d.by(d.name.chosen) {
		s.breakPackage(from)
		if from == nil {
			s.errors++
		}
	}
	s.enter(d.name, why)
	if c := d.name.chosen.c; c != nil && c.broken && from != nil {
		s.breakPackage(from)
	}
}

func (s *solver) enter(n *name, why string) {
	if n.changed {
		return
	}
	n.changed = true
	c := n.chosen.c
	if c == nil || c.changed {
		return
	}
	c.changed = true
	c.name.changed = true
	for _, d := range c.provides {
		d.name.changed = true
	}
	for i := range c.depends {
		s.follow(c, &c.depends[i], c.id())
	}
	s.order = append(s.order, c)
	s.why[c] = why
	s.enterInstallIf(c.name, c)
	for _, d := range c.provides {
		s.enterInstallIf(d.name, c)
	}
}

// enterInstallIf enters what is installed because of n, once all of its
// conditions are there.
func (s *solver) enterInstallIf(n *name, because *candidate) {
next:
	for _, r := range n.riif {
		c := r.chosen.c
		if c == nil || !r.seen || r.changed {
			continue
		}
		for i := range c.installIf {
			d := &c.installIf[i]
			if !d.name.changed || !d.by(d.name.chosen) {
				continue next
			}
		}
		s.enter(r, because.id())
	}
}

// id is how a lock names the package.
func (c *candidate) id() string { return c.Name + ":" + c.Arch + "=" + c.Version }
