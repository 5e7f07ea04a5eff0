package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"slipway/internal/fleet"
)

// Versions are those of a root in RAM.
type Versions struct {
	Good   string     `json:"good,omitempty"`   // the last that proved itself
	Trying string     `json:"trying,omitempty"` // handed out, and not proven yet
	Since  *time.Time `json:"since,omitempty"`  // when it was first handed out
	Bad    []string   `json:"bad,omitempty"`    // did not prove themselves
	// Kept is what the server must know of a version to hand it out again when
	// another one is the newest. Its meaning is the server's.
	Kept map[string]json.RawMessage `json:"kept,omitempty"`
}

// maxBad bounds the versions that are remembered as bad.
const maxBad = 16

// Prove takes evidence that a version of the root works, and tells whether it
// is one that was handed out.
func (r *Record) Prove(version string) bool {
	v := &r.Versions
	if version == "" || version != v.Trying && version != v.Good && !slices.Contains(v.Bad, version) {
		return false
	}
	v.Good = version
	v.Bad = slices.DeleteFunc(v.Bad, func(b string) bool { return b == version })
	if v.Trying == version {
		v.Trying, v.Since = "", nil
	}
	return true
}

// Choice is a version that a machine gets.
type Choice struct {
	Version string
	Why     string
	Passed  string          // the newest, if this is not it: it did not prove itself
	Kept    json.RawMessage // what was kept of it
}

// Choose decides which version of a root in RAM a machine gets that starts
// now. Published is the newest, kept what the server must know of it, within
// how long a version may take to prove itself. A machine that comes back
// without having done so by then goes back to the last good one; before that it
// may have been somebody's hand on the switch, and it tries once more.
func (r *Record) Choose(published string, kept json.RawMessage, within time.Duration, now time.Time) Choice {
	c := r.choose(published, within, now)
	v := &r.Versions
	if v.Kept == nil {
		v.Kept = map[string]json.RawMessage{}
	}
	v.Kept[published] = kept
	maps.DeleteFunc(v.Kept, func(version string, _ json.RawMessage) bool {
		return version != published && version != v.Good && version != v.Trying
	})
	c.Kept = v.Kept[c.Version]
	return c
}

func (r *Record) choose(published string, within time.Duration, now time.Time) Choice {
	v := &r.Versions
	if v.Trying != "" && v.Trying != published { // another one was published meanwhile
		v.Trying, v.Since = "", nil
	}
	switch {
	case published == v.Good:
		return Choice{Version: published, Why: "the version that was proven"}
	case slices.Contains(v.Bad, published):
		return r.fallBack(published, "it did not prove itself")
	case v.Trying == "":
		now = now.UTC()
		v.Trying, v.Since = published, &now
		return Choice{Version: published, Why: "a new version, which has to prove itself"}
	case v.Good != "" && now.Sub(*v.Since) >= within:
		v.Bad = append(v.Bad, published)
		v.Bad = v.Bad[max(0, len(v.Bad)-maxBad):]
		v.Trying, v.Since = "", nil
		return r.fallBack(published, fmt.Sprintf("it did not prove itself within %s", within))
	}
	return Choice{Version: published, Why: "a new version, which still has to prove itself"}
}

func (r *Record) fallBack(published, why string) Choice {
	if r.Versions.Good == "" {
		return Choice{Version: published, Why: "there is no other version, though " + why}
	}
	return Choice{Version: r.Versions.Good, Passed: published, Why: fmt.Sprintf("the last good version, %s: of %s, %s", short(r.Versions.Good), short(published), why)}
}

// started is the version that the machine's kernel was started for, if that
// was decided when its loader asked.
func (r *Record) started(version, published string) (Choice, bool) {
	v := &r.Versions
	if version == "" || version != published && version != v.Good && version != v.Trying {
		return Choice{}, false
	}
	return Choice{Version: version, Why: "the version that its kernel belongs to", Kept: v.Kept[version]}, true
}

// short is a version as people read it.
func short(version string) string { return version[:min(12, len(version))] }

// Pick chooses for a machine whose loader asks, keeps that, and says when the
// last good version takes the newest one's place.
func (h *Handler) Pick(ctx context.Context, c Client, published string, kept json.RawMessage, within time.Duration) (Choice, error) {
	var choice Choice
	err := h.Records.Update(ctx, c.Machine, func(r *Record) error {
		choice = r.Choose(published, kept, within, h.now())
		return nil
	})
	if err == nil {
		h.fellBack(c, choice)
	}
	return choice, err
}

// fellBack says that a machine does not get the newest version.
func (h *Handler) fellBack(c Client, choice Choice) {
	if choice.Passed != "" {
		h.record(c, fleet.Event{Kind: fleet.KindBack, Text: choice.Why, Fields: map[string]string{
			fleet.FieldVersion: choice.Version, fleet.FieldPassed: choice.Passed}})
	}
}
