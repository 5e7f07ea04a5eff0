// Package anaconda turns a kickstart, such as the anaconda-ks.cfg that an
// installation leaves, into a definition.
//
//	got := anaconda.Import(text, anaconda.Options{Name: "mm1"})
//	os.Stdout.Write(got.YAML); for _, w := range got.Warnings { ... }
//
// It reads the commands that pykickstart documents for RHEL 9 and Fedora
// (https://pykickstart.readthedocs.io/en/latest/kickstart-docs.html). What a
// definition cannot say becomes a comment and a warning; nothing is dropped
// silently, but for commands about how the installation itself runs (text,
// reboot, eula ...). Hashes of passwords are handed back apart: they never stand
// in a definition, and never in a comment. What comes out always loads.
//
// The package runs nothing and fetches nothing: %include is not followed.
package anaconda
