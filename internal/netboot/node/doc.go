// Package node is what runs on a machine that starts over the network, and the
// part of the boot server that it talks to.
//
// On the machine, slipway itself is the first program of a small initramfs
// (Start). It loads drivers, brings one network card up, tells the server what
// the machine is made of and which disks carry a mark of ours, and gets an
// order, signed with a key whose public half lies in the initramfs. Then it
//
//	ram        fetches the root, checks it, and hands over to the guest helper;
//	           what stays behind (stay, prover) proves the system to the server
//	install    writes the machine to its disk, reports, restarts from there
//	kexec      fetches kernel and initrd, checks them, and starts them
//	inventory  has told what the machine is, and waits
//	rescue     serves ssh, and waits
//	disk       restarts from the disk
//
// On the server, Handler answers the requests below /n/TOKEN/, and a Record
// remembers what is known of a machine: the versions of a root in RAM, the last
// disk that was finished, and its grant to be installed, which the fleet keeps.
// Files with secrets go to the machine alone that an order told of them, once. A
// grant is used up by evidence alone: the report
// of the installer, or the grant's mark found on a disk. What is decided is in
// pure functions (Record.Choose, Record.Answer).
//
// The package makes no images, speaks no DHCP to others, and knows no loaders.
package node
