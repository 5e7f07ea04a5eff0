// Package sshway keeps what ssh to machines needs on the host: one key pair
// per store, the host keys that were learned from inside the machines, and a
// configuration for OpenSSH's client to include.
//
//	dir := sshway.Dir(filepath.Join(store, "ssh"))
//	pair, err := dir.Key()                    // made the first time
//	err = dir.Learn("web", hostKeys)          // into known_hosts
//	err = dir.WriteConfig([]string{"web"}, p) // for `ssh -F` and `Include`
//
// The private key never leaves the host, and the public one enters a running
// machine only, never a built tree.
//
// # What it is not
//
// It knows nothing of machines and connects to nothing by itself; package
// container brings keys in and host keys out, and Client logs in over a
// connection that somebody else has made.
package sshway
