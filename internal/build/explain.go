package build

import (
	"context"
	"fmt"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/plan"
)

// Plan says what Make would do with what is in the store now.
func (b *Builder) Plan(p *Prepared) (*plan.Plan, error) {
	out := &plan.Plan{
		Machine: p.Definition.Name, System: p.Definition.System, Class: p.Class,
		Packages: []plan.PlannedPackage{}, Steps: []string{}, Notes: append([]string{}, p.Notes...),
	}
	for _, pkg := range p.Packages() {
		out.Packages = append(out.Packages, plan.PlannedPackage{
			Name: pkg.Name, Version: pkg.Version, Arch: pkg.Arch, ImpliedBy: pkg.ImpliedBy,
		})
	}
	family, err := b.family(p.Definition)
	if err != nil {
		return nil, err
	}
	missing := b.missing(p.Layers)
	fetches := 0
	for _, pkg := range wanted(p, missing) {
		if !b.Store.HasPack(pkg.SHA256) && !b.Store.HasObject(family.Name(), pkg.SHA256) {
			out.FetchBytes += pkg.Size
			fetches++
		}
	}
	if fetches > 0 {
		out.Steps = append(out.Steps, fmt.Sprintf("fetch %d packages, %s", fetches, Bytes(out.FetchBytes)))
	}
	for _, l := range missing {
		out.Steps = append(out.Steps, b.layerStep(p, l))
	}
	if len(missing) == 0 {
		out.Steps = append(out.Steps, "build nothing: the tree is in the store")
	}
	return out, nil
}

func (b *Builder) layerStep(p *Prepared, l Layer) string {
	switch l.Kind {
	case "base":
		return fmt.Sprintf("unpack and configure the base set, %d packages", len(p.Base))
	case "system":
		return moreStep(p, p.Shared.Packages) + ", which other machines may share"
	case "packages":
		return moreStep(p, p.Added.Packages)
	case "definition":
		return "apply the definition: " + strings.Join(contentWords(p.Definition), ", ")
	}
	return "add the secrets"
}

func moreStep(p *Prepared, packages []plan.Package) string {
	text := fmt.Sprintf("unpack and configure %d packages more", len(packages))
	if p.Class == plan.Container && hasKernel(packages) {
		text += " (no initramfs is made: a container starts no kernel)"
	}
	return text
}

func hasKernel(packages []plan.Package) bool {
	for _, p := range packages {
		if strings.HasPrefix(p.Name, "linux-image-") || strings.HasPrefix(p.Name, "linux-lts") || strings.HasPrefix(p.Name, "linux-virt") {
			return true
		}
	}
	return false
}

func contentWords(d *machine.Definition) []string {
	var out []string
	count := func(n int, word string) {
		if n == 1 {
			out = append(out, "1 "+word)
		} else if n > 1 {
			out = append(out, fmt.Sprintf("%d %ss", n, word))
		}
	}
	if len(d.Slim) > 0 {
		out = append(out, "leave out "+strings.Join(d.Slim, ", "))
	}
	count(len(d.Files), "file")
	count(len(d.Users), "user")
	count(len(d.Services.Enable)+len(d.Services.Disable), "service")
	count(len(d.Sysctl), "sysctl")
	count(len(d.Mounts), "mount")
	count(len(d.Network), "network")
	count(len(d.Run)+len(d.Hooks.Customize), "command")
	for _, pair := range [][2]string{{"hostname", d.Hostname}, {"timezone", d.Timezone}, {"locale", d.Locale},
		{"network by", d.ChosenNetwork()}, {"resolver", d.ChosenResolver()}, {"clock by", d.ChosenTime()}} {
		if pair[1] != "" {
			out = append(out, pair[0]+" "+pair[1])
		}
	}
	return out
}

// PlanText is the plan for a person.
func PlanText(p *plan.Plan) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s, %d packages for %s\n", p.Machine, p.System, len(p.Packages), p.Class)
	var implied []string
	for _, pkg := range p.Packages {
		if pkg.ImpliedBy != "" {
			implied = append(implied, fmt.Sprintf("  %s is implied by %s", pkg.Name, pkg.ImpliedBy))
		}
	}
	for _, line := range implied {
		s.WriteString(line + "\n")
	}
	for i, step := range p.Steps {
		fmt.Fprintf(&s, "%2d. %s\n", i+1, step)
	}
	for _, note := range p.Notes {
		fmt.Fprintf(&s, "note: %s\n", note)
	}
	return s.String()
}

// Bytes writes a number of bytes for a person, in powers of 1024.
func Bytes(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1024 && unit < len(units)-1 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

// Check resolves the packages and reports how many there are. The files behind
// secrets must be there too.
func (b *Builder) Check(ctx context.Context, d *machine.Definition, opt Options) (int, error) {
	if err := d.CheckFiles(true); err != nil {
		return 0, err
	}
	p, err := b.Prepare(ctx, d, opt)
	if err != nil {
		return 0, err
	}
	return len(p.Base) + len(p.Rest), nil
}

// Why returns the shortest chain from the definition to a package, a line each.
func (b *Builder) Why(ctx context.Context, d *machine.Definition, opt Options, name string) ([]string, error) {
	p, err := b.Prepare(ctx, d, opt)
	if err != nil {
		return nil, err
	}
	byID := map[string]plan.Package{}
	var found *plan.Package
	for _, pkg := range p.Packages() {
		byID[pkg.ID()] = pkg
		if pkg.Name == name {
			found = &pkg
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s does not install %s", d.Name, name)
	}
	var chain []string
	for pkg := *found; ; {
		chain = append([]string{whyLine(pkg)}, chain...)
		next, ok := byID[pkg.Why]
		if !ok || len(chain) > len(byID) {
			return append([]string{d.Name}, chain...), nil
		}
		pkg = next
	}
}

func whyLine(p plan.Package) string {
	line := "  " + p.Name + " " + p.Version
	switch {
	case p.ImpliedBy != "":
		return line + "  (implied by " + p.ImpliedBy + ")"
	case p.Why == "base":
		return line + "  (base set)"
	case p.Why == "definition":
		return line + "  (packages)"
	}
	return line
}
