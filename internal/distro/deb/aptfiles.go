package deb

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/distro/deb/archive"
	"slipway/internal/machine"
)

// AptFiles is what the machine's own apt is told, by name without the leading
// slash: official or declared addresses, never the host's mirror, so that two
// hosts build the same bytes; and the pins of the definition, so that a later
// upgrade in the machine decides as the build did.
func AptFiles(d *machine.Definition) (map[string]string, error) {
	files := map[string]string{}
	if !d.Mirror.None {
		files["etc/apt/sources.list"] = distributionSources(d)
	}
	for i, r := range d.Repositories {
		if err := repositoryFiles(files, d, i, r); err != nil {
			return nil, err
		}
	}
	if pins := preferences(d); pins != "" {
		files["etc/apt/preferences.d/slipway"] = pins
	}
	return files, nil
}

// distributionSources always has updates and security beside the base suite.
func distributionSources(d *machine.Definition) string {
	of, name := distribution(d), d.Release()
	m := of.Home(d.Arch)
	if d.Sources.Main != "" {
		m = archive.Mirror{Main: d.Sources.Main, Security: d.Sources.Security}
	}
	main, security := strings.TrimRight(m.Main, "/"), strings.TrimRight(of.Security(m)[0], "/")
	components := d.Components
	if len(components) == 0 {
		components = of.Components
	}
	var s strings.Builder
	line := func(base, suite string) {
		fmt.Fprintf(&s, "deb %s %s %s\n", base, suite, strings.Join(components, " "))
	}
	line(main, name)
	if !of.Rolling(name) {
		line(main, name+"-updates")
		line(security, name+"-security")
	}
	for _, suite := range extraSuites(d) {
		line(main, suite)
	}
	return s.String()
}

// repositoryFiles adds one declared archive with its key, in the deb822 style
// of sources.list(5).
func repositoryFiles(files map[string]string, d *machine.Definition, i int, r machine.Repository) error {
	key, err := os.ReadFile(r.SignedBy)
	if err != nil {
		return fmt.Errorf("reading signed_by of the repository %s: %w", r.URL, err)
	}
	name := repositoryName(i, r)
	keyFile := "etc/apt/keyrings/" + name + ".gpg"
	if strings.HasPrefix(string(key), "-----BEGIN") {
		keyFile = "etc/apt/keyrings/" + name + ".asc"
	}
	files[keyFile] = string(key)
	var s strings.Builder
	fmt.Fprintf(&s, "Types: deb\nURIs: %s\nSuites: %s\n", r.URL, r.Suite)
	if !strings.HasSuffix(r.Suite, "/") {
		components := r.Components
		if len(components) == 0 {
			components = []string{"main"}
		}
		fmt.Fprintf(&s, "Components: %s\n", strings.Join(components, " "))
	}
	fmt.Fprintf(&s, "Signed-By: /%s\n", keyFile)
	files["etc/apt/sources.list.d/"+name+".sources"] = s.String()
	return nil
}

// repositoryName is a file name that apt reads and that tells repositories apart.
func repositoryName(i int, r machine.Repository) string {
	name := r.Name
	if name == "" {
		if u, err := url.Parse(r.URL); err == nil {
			name = u.Hostname()
		}
	}
	clean := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' {
			return c
		}
		return '-'
	}, filepath.Base(name))
	return fmt.Sprintf("slipway-%d-%s", i+1, clean)
}

// preferences are the pins of the definition in the form of apt_preferences(5).
func preferences(d *machine.Definition) string {
	var s strings.Builder
	pin := func(pkg, pin string, priority int) {
		fmt.Fprintf(&s, "Package: %s\nPin: %s\nPin-Priority: %d\n\n", pkg, pin, priority)
	}
	for _, spec := range d.Packages {
		if isLocal(spec) || strings.HasPrefix(spec, "-") {
			continue
		}
		if name, version, ok := strings.Cut(spec, "="); ok {
			pin(name, "version "+version, pinned)
		} else if name, suite, ok := strings.Cut(spec, "/"); ok {
			if suite == "backports" {
				suite = d.Release() + "-backports"
			}
			pin(name, "release "+distribution(d).PinTerm(suite), pinned)
		}
	}
	for _, r := range d.Repositories {
		if r.Priority == 0 {
			continue
		}
		if u, err := url.Parse(r.URL); err == nil {
			pin("*", fmt.Sprintf("origin %q", u.Hostname()), r.Priority)
		}
	}
	return s.String()
}

// pinned beats every archive's own priority, but never downgrades.
const pinned = 990
