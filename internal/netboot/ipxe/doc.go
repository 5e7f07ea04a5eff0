// Package ipxe writes the scripts that the loader iPXE runs, and knows which of
// its binaries suits which firmware. The binaries are Debian's (package ipxe):
// none is compiled here, and none has a script in it.
//
// A script is rendered for one machine and one boot: it holds addresses with
// that boot's token. Every script ends: in a kernel, in the local disk, or with
// a text on the screen that says what to do. None waits for a key that nobody
// presses, and none loads iPXE again.
//
// The language is described at https://ipxe.org/cmd; what is used here is
// understood by iPXE 1.0 of 2019 and later.
package ipxe
