// Package probe checks running machines and reports what it saw.
//
// A probe is one check (machine.Probe). Run makes all of them at once, each
// again and again until it holds or its deadline has passed, and says for
// every failure what was expected, what was seen last and for how long it was
// tried. A stage is a named step on the way up, recorded by Stages. Both end
// in a Proof, which is written as a table, a matrix, JSON or JUnit XML.
//
// The package knows neither targets nor how a machine is reached: everything
// goes through a Reach. It starts nothing and holds no state between runs.
//
// # Meaning of a probe
//
// A check has one of three outcomes: it held, it missed (what was looked for
// is not so), or it could not be made (the way in is not there yet). Only the
// first ends an ordinary probe before its deadline.
//
// A probe with "fails: true" holds as soon as its check misses; a check that
// could not be made proves nothing and is tried again. So that such a probe
// does not hold merely because the machine has not come up, it begins when
// every probe that expects success has ended (or, with "after", when that one
// has held), and its miss counts only while the machine answers. The same goes
// for port_closed and for a log probe that only wants a text to be absent.
//
// "within" counts from the moment a probe begins and is kept even when a check
// hangs: the attempt is then abandoned.
package probe
