package archive

import "errors"

// Sentinels for errors.Is; the errors themselves name suite, address, what
// was seen and the remedy.
var (
	// ErrNoRelease: no mirror has such a release.
	ErrNoRelease = errors.New("no such release")
	// ErrSignature: an index is not signed by a trusted key.
	ErrSignature = errors.New("no valid signature by a trusted key")
	// ErrExpired: an index's Valid-Until has passed.
	ErrExpired = errors.New("index has expired")
	// ErrClock: an index is from the future.
	ErrClock = errors.New("index is from the future")
	// ErrRollback: a mirror serves an older index than one seen before.
	ErrRollback = errors.New("index is older than one seen before")
	// ErrMismatch: the index is of another release, or contradicts itself.
	ErrMismatch = errors.New("index is not what was asked for")
	// ErrWeak: the index has no SHA-256 or SHA-512 digests.
	ErrWeak = errors.New("index has only weak digests")
	// ErrOffline: what is needed is not in the store and the network is off.
	ErrOffline = errors.New("not in the store")
)

// kindError puts a sentinel behind a message that says it better.
type kindError struct {
	kind error
	text string
}

func (e *kindError) Error() string { return e.text }
func (e *kindError) Unwrap() error { return e.kind }
