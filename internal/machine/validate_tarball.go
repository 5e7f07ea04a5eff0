package machine

import (
	"fmt"
	"slices"
)

// packageKeys choose packages, which a root archive brings already.
var packageKeys = map[string]string{
	"base":         "the archive is the base: remove it",
	"packages":     "install them with run, as the distribution does: {command: ..., network: true}",
	"recommends":   "remove it",
	"repositories": "write the file that the distribution's package manager reads with files",
	"components":   "remove it",
	"mirror":       "remove it",
	"sources":      "write the file that the distribution's package manager reads with files",
	"debconf":      "use run",
}

// tarball checks a definition whose base is a root archive.
func (v *validator) tarball() {
	var given []string
	for key := range v.d.Set {
		given = append(given, key)
	}
	slices.Sort(given)
	for _, key := range given {
		if hint, chooses := packageKeys[key]; chooses {
			v.at(key, "", "packages cannot be changed where the base is a root archive (from)", hint)
		}
	}
	for i, k := range v.d.Kernel {
		if k.Package != "" && k.Package != "auto" && k.Package != "none" && k.Package != "host" {
			v.at(fmt.Sprintf("kernel.%d.package", i), k.Package, "a root archive (from) gets no packages, and so no kernel package",
				"leave it out to boot the archive's own kernel, or write host for this host's")
		}
	}
	if len(v.d.Hooks.Essential) > 0 {
		v.at("hooks", "", "hooks.essential comes before the packages, and a root archive (from) gets none", "use run")
	}
}
