// Package export hands machines over to other managers of virtual machines and
// containers: it writes the disk, the kernel and the description that they
// want into a folder, and says which commands take them over.
//
//   - Libvirt: a domain (https://libvirt.org/formatdomain.html) beside a
//     qcow2 or raw disk, kernel and initramfs;
//   - Nspawn: a raw disk for /var/lib/machines with its settings
//     (systemd.nspawn(5)) and a drop-in for its unit with the limits.
//
// What is written depends on the definition and the folder alone.
//
// It starts nothing and asks no daemon: the folder may be carried to another
// host, after its paths were looked at.
package export
