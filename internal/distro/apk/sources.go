package apk

import (
	"bufio"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/archive"
	"slipway/internal/machine"
)

// official is the base address of Alpine's repositories. What a machine is told
// is this one, whatever mirror its packages came from.
const official = "https://dl-cdn.alpinelinux.org/alpine"

// components are the repositories of a release.
var components = []string{"main", "community"}

// branch is the folder of a release below a mirror's base.
func branch(d *machine.Definition) string {
	if d.Release() == "edge" {
		return "edge"
	}
	return "v" + d.Release()
}

// mirror is where the distribution's packages are fetched from: the declared
// one, what this host's own apk uses, or the official one.
func mirror(d *machine.Definition) string {
	if d.Mirror.Main != "" {
		return strings.TrimRight(d.Mirror.Main, "/")
	}
	if own := hostMirror("/"); own != "" {
		return own
	}
	return official
}

// hostMirror is the base address that a host's apk uses, if the host is Alpine.
func hostMirror(root string) string {
	release, err := os.ReadFile(filepath.Join(root, "etc/os-release"))
	if err != nil || !strings.Contains("\n"+string(release), "\nID=alpine\n") {
		return ""
	}
	f, err := os.Open(filepath.Join(root, "etc/apk/repositories"))
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimRight(strings.TrimSpace(lines.Text()), "/")
		u, err := url.Parse(line)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" {
			continue
		}
		if rest, ok := strings.CutSuffix(line, "/main"); ok {
			return rest[:strings.LastIndexByte(rest, '/')]
		}
	}
	return ""
}

// flat tells whether the mirror is a folder of this host that holds one release
// without saying which.
func flat(d *machine.Definition) bool {
	dir, ok := strings.CutPrefix(mirror(d), "file://")
	if !ok {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, branch(d)))
	return err != nil
}

// below is the path of a component below the mirror.
func below(d *machine.Definition, component string) string {
	if flat(d) {
		return component
	}
	return branch(d) + "/" + component
}

// sources lists the repositories of a definition.
func sources(d *machine.Definition) ([]archive.Source, error) {
	var out []archive.Source
	keys, err := archive.DistributionKeys(d.Arch)
	if err != nil {
		return nil, err
	}
	if !d.Mirror.None {
		for i, c := range components {
			out = append(out, archive.Source{
				Base: mirror(d) + "/" + below(d, c), Official: officialBase(d) + "/" + branch(d) + "/" + c,
				Name: c + " of " + d.System, Keys: keys, Optional: i > 0,
			})
		}
	}
	for i, r := range d.Repositories {
		s := archive.Source{Base: strings.TrimRight(r.URL, "/"), Official: strings.TrimRight(r.URL, "/"), Name: "the repository " + r.URL, Tag: r.Name, Keys: keys}
		if r.SignedBy != "" {
			if s.Keys, err = archive.ReadKey(r.SignedBy); err != nil {
				return nil, fmt.Errorf("%s: %w", d.At(fmt.Sprintf("repositories.%d.signed_by", i)), err)
			}
		}
		out = append(out, s)
	}
	return out, nil
}

// officialBase is what the machine's own apk is told.
func officialBase(d *machine.Definition) string {
	if d.Sources.Main != "" {
		return strings.TrimRight(d.Sources.Main, "/")
	}
	return official
}

// trusted are all keys that a definition trusts.
func trusted(list []archive.Source) apkfile.Keys {
	all := apkfile.Keys{}
	for _, s := range list {
		for name, key := range s.Keys {
			all[name] = key
		}
	}
	return all
}

// told is what the machine's own apk is told, by file name: official or
// declared addresses, never the host's mirror, and the keys to trust.
func told(d *machine.Definition) (map[string]string, error) {
	files := map[string]string{}
	var lines strings.Builder
	if !d.Mirror.None {
		for _, c := range components {
			fmt.Fprintf(&lines, "%s/%s/%s\n", officialBase(d), branch(d), c)
		}
	}
	for _, r := range d.Repositories {
		if r.Name != "" {
			lines.WriteString("@" + r.Name + " ")
		}
		lines.WriteString(strings.TrimRight(r.URL, "/") + "\n")
		if r.SignedBy == "" {
			continue
		}
		key, err := os.ReadFile(r.SignedBy)
		if err != nil {
			return nil, fmt.Errorf("reading signed_by of the repository %s: %w", r.URL, err)
		}
		files["etc/apk/keys/"+filepath.Base(r.SignedBy)] = string(key)
	}
	for name, key := range archive.DistributionKeyFiles(d.Arch) {
		files["etc/apk/keys/"+name] = key
	}
	files["etc/apk/repositories"] = lines.String()
	return files, nil
}
