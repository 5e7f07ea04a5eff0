// Package machine holds the definition of a machine: the YAML file that says
// what it is, where it lives and how it starts and is reached.
//
// Load reads a definition with its includes, conditional parts and overrides,
// and reports every problem with its place. Schema and KeyDocs are generated
// from the same struct tags that the loader obeys.
//
// The package knows structure only. It knows no packages, contacts no archive,
// reads none of the files that a definition refers to (CheckFiles looks
// whether they exist) and starts nothing. Of YAML it takes what a
// definition needs: one document of mappings, lists and scalars; anchors and
// aliases within a bound; no tags, no merge keys, no complex keys. The keys
// are specified in docs/design.md, section 3.
package machine
