package machine

import (
	"net/url"
	"slices"
	"strings"
)

// rootSuffixes are how the names of root archives end; every other source of
// from is a disk image.
var rootSuffixes = []string{".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst"}

// FromTarball tells whether the machine's base is an archive of a root file
// system, on which the definition builds.
func (d *Definition) FromTarball() bool {
	return d.From != nil && slices.ContainsFunc(rootSuffixes, func(suffix string) bool {
		return strings.HasSuffix(strings.ToLower(d.From.name()), suffix)
	})
}

// FromImage tells whether the machine is a stock disk image, which is started
// as it is.
func (d *Definition) FromImage() bool { return d.From != nil && !d.FromTarball() }

// name is the file's name, of an address without what follows its path.
func (f *From) name() string {
	if f.URL == "" {
		return f.File
	}
	if u, err := url.Parse(f.URL); err == nil {
		return u.Path
	}
	return f.URL
}
