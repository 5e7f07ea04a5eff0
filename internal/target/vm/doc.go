// Package vm runs machines as virtual machines, for the targets vm (the kernel
// is started directly), uefi and bios (the disk's own loader starts it) and
// ram (no disk at all).
//
// It is a driver of package supervisor, which starts, records and reaches
// machines; package qemu runs the process. Here is what joins the two:
//
//   - storage: what the machine writes goes to an overlay over the image in
//     the store, in the run folder, kept or thrown away with it;
//   - its place in the lab: a network card whose address is derived from the
//     machine's name, and an address that the guest helper sets or the lab's
//     DHCP server gives;
//   - stages: how far it is on the way up, from the text on its serial console
//     and from what the guest helper tells, so that a machine that stops on
//     the way has a place where it stopped.
//
// It knows no image format but the overlay's, and makes no images.
package vm
