// Package apply turns the keys of a definition into changes of a tree: files,
// users, services, hostname, timezone, locale, sysctl, mounts, network and
// build-time commands.
//
// It works on a folder as the machine's root sees it (in a sandbox worker: uid
// 0 is the machine's root) and writes what the distribution's own tools would
// write, natively: no useradd, no systemctl. Only what needs the machine's own
// programs (locale-gen, SysV links, run:) goes through Env.Run. Packages are
// not its business, nor debconf, nor what comes at start (addresses,
// resolv.conf).
//
// Every path is resolved inside the tree, so that a link in it never leads
// out. Given the same tree, definition and Env, it writes the same bytes.
package apply
