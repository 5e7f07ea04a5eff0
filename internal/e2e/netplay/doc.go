// Package netplay plays machines against the boot server: its real DHCP, TFTP,
// HTTP and scripts answer in a network namespace, and clients that follow a
// script of packets and requests stand for firmware, loader, kernel and
// installer, with the faults of each. What slipway boot why says of them is
// asked of the page, as the command does.
package netplay
