package plan

import "fmt"

// Turn is a part of an installation that ends with everything configured.
type Turn struct {
	Steps    []Step
	Packages []Package // that it unpacks, in this order
}

// Turns divides the installation of a class. The first turn has no steps
// unless others follow it: then what it makes does not depend on them. An
// error means the lock is damaged.
func (l *Lock) Turns(c Class) (first, last Turn, err error) {
	steps := l.Steps[c]
	last.Steps = steps
	for i, s := range steps {
		if s.Op == "configure-pending" && i+1 < len(steps) {
			first.Steps, last.Steps = steps[:i+1], steps[i+1:]
			break
		}
	}
	_, rest, err := l.Select(c)
	if err != nil {
		return first, last, err
	}
	byName := make(map[string]Package, len(rest))
	for _, p := range rest {
		byName[p.Name+":"+p.Arch] = p
	}
	for _, t := range []*Turn{&first, &last} {
		for _, s := range t.Steps {
			if s.Op != "unpack" {
				continue
			}
			for _, name := range s.Packages {
				p, ok := byName[name]
				if !ok {
					return first, last, fmt.Errorf("lock: the steps of class %s name %s, which it does not pin", c, name)
				}
				t.Packages = append(t.Packages, p)
			}
		}
	}
	return first, last, nil
}
