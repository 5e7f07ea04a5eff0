// Package cloud starts stock cloud images: disks that somebody else has built,
// which configure themselves at their first boot from what a data source says.
//
// The data source is cloud-init's NoCloud, a small FAT file system with the
// label CIDATA beside the machine's disk
// (https://docs.cloud-init.io/en/latest/reference/datasources/nocloud.html).
// Seed renders its files from a definition, Volume lays them out, and Prepare
// puts the disk and the seed where a virtual machine finds them. Such a machine
// has no guest helper: a Way runs commands in it through ssh, with a key and a
// host key that the seed brought.
//
// Only what cloud-init can do before anybody logs in is taken from a
// definition; package machine refuses the other keys.
package cloud
