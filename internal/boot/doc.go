// Package boot makes a built machine bootable: it finds the kernels of a tree,
// makes the initramfs, renders the configuration of loaders, places loaders
// and kernel hook, and checks that everything which is named is there.
//
// Its input is a tree and the identities of the partitions of a disk; its
// output is trees again, one for each partition, and the bytes that lie
// outside of file systems. It writes no file system and no partition table,
// and it starts no machine. The tree that it is given is not changed, and all
// that is specific to a disk is in what it adds.
package boot
