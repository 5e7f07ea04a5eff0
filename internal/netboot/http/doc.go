// Package http serves boot files, images and what machines report over HTTP to
// firmware, loaders, installers and our own programs.
//
// Firmware is no browser: addresses are taken as they come, without cleaning
// and without a redirect ever; lengths are exact, nothing is compressed or sent
// in chunks, connections stay open (EDK2's HttpBootDxe, iPXE). Files leave
// through sendfile(2). It follows RFC 9110 and 9112 with ranges (RFC 9110, 14).
//
//	/a/sha256-HEX    an immutable artefact, see Artefacts
//	/b/TOKEN/NAME    what a name means for the machine that has this token
//	/n/TOKEN/NAME    what a program on the machine fetches and reports
//	anything else    Server.Pages
//
// It knows no machines: Server.Boot and Server.Node decide, package token says
// who may ask. That a file was sent is told when the client's TCP has
// acknowledged its last byte, not before.
//
//	s := &http.Server{Boot: boot, Node: node, Artefacts: artefacts, Tokens: book, Sink: sink}
//	err := s.Serve(ctx, listener)
//
// The package is named as its subject; importers call it boothttp beside
// net/http.
package http
