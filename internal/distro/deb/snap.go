package deb

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"slipway/internal/distro/deb/solve"
)

// snapVersion is how Ubuntu numbers packages that took the place of real ones
// and only fetch the snap of that name: "2:1snap1-0ubuntu3".
var snapVersion = regexp.MustCompile(`^([0-9]+:)?1snap[0-9]`)

// snapNotes warns of such packages: their scripts ask a running snapd, and
// while a tree is built nothing runs.
func snapNotes(s *solve.Solution) []string {
	var names []string
	for _, p := range s.Rest {
		if snapVersion.MatchString(p.Version) && strings.Contains(p.PreDepends+" "+p.Depends, "snapd") {
			names = append(names, p.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return []string{fmt.Sprintf("%s: the package only fetches a snap when it is configured, and no snapd runs while a tree is built, so its script may wait for long and fail; "+
		"take the program from another archive (repositories), or install the snap in the running machine", strings.Join(names, ", "))}
}
