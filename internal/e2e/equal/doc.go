// Package equal holds slipway's trees against what mmdebstrap makes of the
// same package list, entry by entry.
//
// For each set of packages and each release slipway builds a plain tree, and
// mmdebstrap builds the reference twice from the same archive: where its own
// two runs differ, nothing can be expected of a third. The rest of what may
// differ is the table Allowed; every line of it has a reason, and the long
// tier fails on a line that nothing needs any more.
//
// mmdebstrap runs in a machine that slipway builds, so nothing has to be
// installed on the host; it needs real root, because it makes device nodes.
// Modification times are not compared: mmdebstrap leaves the build's own.
package equal
