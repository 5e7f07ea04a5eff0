package tools

import (
	"context"

	"slipway/internal/plan"
)

// Place says where a set comes from, or would come from.
type Place struct {
	Set      string `json:"set"`
	What     string `json:"what"`
	System   string `json:"system"` // whose packages it is made of
	About    string `json:"about"`  // what fetching it takes, roughly
	Host     Host   `json:"host"`
	Tree     string `json:"tree"`     // folder of the tree, when it is there
	Version  string `json:"version"`  // of the main package, when the choice is known
	Packages int    `json:"packages"` // of the tree; 0: not chosen yet
	Fetch    int64  `json:"fetch"`    // bytes that would come over the network
}

// Where tells where a set comes from, without fetching packages. The choice
// of packages is made for it only if ask is set, which may read indexes from
// the network; else what is not known yet stays zero.
func (t *Tools) Where(ctx context.Context, set string, ask bool) (Place, error) {
	s, err := lookup(set)
	if err != nil {
		return Place{}, err
	}
	p := Place{Set: s.Name, What: s.What, System: s.system(), About: s.About, Host: s.onHost(ctx, t.d.HostRoot, t.d.Arch)}
	c := t.remembered(s)
	if c == nil && ask && !p.Host.Good {
		if c, err = t.choose(ctx, s); err != nil {
			return p, err
		}
	}
	if c == nil {
		return p, nil
	}
	p.Packages = len(c.packages())
	p.Version = versionIn(c.packages(), s.Packages[0])
	if dir, ok := t.d.Store.ToolTree(c.Key); ok {
		p.Tree = dir
		return p, nil
	}
	for _, pkg := range c.packages() {
		if !t.d.Store.HasObject("deb", pkg.SHA256) {
			p.Fetch += pkg.Size
		}
	}
	return p, nil
}

func versionIn(packages []plan.Package, name string) string {
	for _, p := range packages {
		if p.Name == name {
			return p.Version
		}
	}
	return ""
}
