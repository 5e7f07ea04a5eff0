// Package kit is what the end-to-end tests share: the built program, a store
// that they have in common, a small signed archive, and a picture of what a
// host looks like before and after.
//
// The small archive ("toy") holds a base set made of the host's own dpkg, shell
// and a few tools, so that whole machines are built by the usual way, scripts
// and all, in a second and without a network. Where the host has no dpkg,
// tests that need it are skipped and say so. It is for tests only.
package kit
