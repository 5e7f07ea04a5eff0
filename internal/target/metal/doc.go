// Package metal puts machines on real disks, safely: it finds the one disk
// that is meant, says what will be lost, refuses a disk that is in use, writes
// so that an interruption is known afterwards, reads back what the disk holds
// and compares, and makes the firmware's boot entry.
//
// A disk is a whole block device, a logical volume, a loop device or a regular
// file. The package knows nothing of how an image is made: it gets a stream
// with holes.
package metal
