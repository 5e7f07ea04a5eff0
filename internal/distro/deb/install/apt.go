package install

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"slipway/internal/distro/deb/debfile"
)

const extendedStates = "var/lib/apt/extended_states"

// MarkAuto tells the machine's apt which packages are there only because
// others need them, so that "apt autoremove" works as after apt's own
// installation. Packages that are marked already stay so.
func (in *Installer) MarkAuto(packages []Package) error {
	known, err := in.root.Read(extendedStates)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("marking automatic packages: %w", err)
	}
	marked := map[string]bool{}
	for rest := known; len(rest) > 0; {
		var p debfile.Paragraph
		if p, rest, err = debfile.ParseParagraph(rest); err != nil {
			return fmt.Errorf("reading /%s: %w", extendedStates, err)
		}
		marked[p.Value("Package")+":"+p.Value("Architecture")] = true
	}
	b := bytes.NewBuffer(known)
	for _, p := range inCacheOrder(packages) {
		arch := p.Arch
		if arch == "all" { // apt counts these as native
			arch = in.opt.Arch
		}
		if !marked[p.Name+":"+arch] {
			fmt.Fprintf(b, "Package: %s\nArchitecture: %s\nAuto-Installed: 1\n\n", p.Name, arch)
		}
	}
	if b.Len() == 0 {
		return nil
	}
	if err := in.root.MkdirAll("var/lib/apt", 0o755); err != nil {
		return err
	}
	return in.root.Write(extendedStates, b.Bytes(), 0o644)
}

// inCacheOrder sorts packages as apt goes through its cache: by a hash of the
// name (Bernstein's, times 33) in a table of 196613 places. It is not needed
// for apt, only for trees that are equal to apt's.
func inCacheOrder(packages []Package) []Package {
	place := func(p Package) uint32 {
		h := uint32(5381)
		for _, c := range []byte(strings.ToLower(p.Name)) {
			h = 33*h + uint32(c)
		}
		return h % 196613
	}
	sorted := slices.Clone(packages)
	slices.SortStableFunc(sorted, func(a, b Package) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Arch, b.Arch))
	})
	return sorted
}

// aptFolders leaves what apt makes whenever it runs: lock files, and folders
// that only its download user may enter.
func (in *Installer) aptFolders() error {
	uid := 0
	if id, ok := in.ids.User("_apt"); ok {
		uid = id
	}
	for _, dir := range []string{"var/lib/apt/lists", "var/cache/apt/archives"} {
		if err := in.root.MkdirAll(dir+"/partial", 0o700); err != nil {
			return err
		}
		d, base, err := in.root.Parent(dir + "/partial")
		if err != nil {
			return err
		}
		if err := in.root.Private(d.FD, base, uid); err != nil {
			return err
		}
		if err := unix.UtimesNanoAt(d.FD, base, nil, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if err := in.root.Write(dir+"/lock", nil, 0o640); err != nil {
			return err
		}
	}
	return nil
}
