// Package answer renders a definition for the installers of distributions: what
// a machine's own installer asks is answered before it asks.
//
//	files, err := answer.Render(answer.Preseed, d, answer.Facts{Base: url, ...})
//	args, err := answer.BootArgs(answer.Preseed, d, facts, answer.IPXE)
//
// There are kickstart (Anaconda,
// https://pykickstart.readthedocs.io/en/latest/kickstart-docs.html), preseed
// (debian-installer, https://www.debian.org/releases/stable/amd64/apb.html),
// autoinstall (Subiquity,
// https://canonical-subiquity.readthedocs-hosted.com/en/latest/reference/autoinstall-reference.html),
// NoCloud (cloud-init), Ignition (Fedora CoreOS and Flatcar, specification
// 3.3.0) and Alpine's setup-alpine. Each is written for one machine, on request;
// nothing is kept.
//
// What a definition asks and a format cannot say is an error that names the key;
// nothing is left out silently. Contents of secret files are never inside an
// answer, because installers keep copies of it: the machine fetches them apart,
// below the same base address, which is expected to be a token's. Passwords are
// the hashes of the definition.
//
// The package serves nothing and knows no protocol: who may read an answer, and
// how often, is decided above.
package answer
