package machine

import (
	"regexp"
	"sync"
)

// lazyPattern is a regular expression that is compiled when it is first used:
// every process of a build starts this program anew, and most of them read no
// definition.
type lazyPattern struct {
	text     string
	once     sync.Once
	compiled *regexp.Regexp
}

func newPattern(text string) *lazyPattern { return &lazyPattern{text: text} }

func (p *lazyPattern) get() *regexp.Regexp {
	p.once.Do(func() { p.compiled = regexp.MustCompile(p.text) })
	return p.compiled
}

// MatchString tells whether the text contains a match.
func (p *lazyPattern) MatchString(text string) bool { return p.get().MatchString(text) }
