// Package netboot is the boot server: one process that gives machines their
// addresses, their loader, their script and their system, from a folder of
// definitions.
//
//   - Folder reads the fleet's definitions and follows their changes; a Roster
//     is what they say at one moment, and finds machines by what is known of
//     them;
//   - Server composes the servers of the packages below (dhcp, tftp, http) and
//     decides per machine, on request, what it boots: nothing is generated
//     ahead;
//   - Images makes what machines boot, when it is first needed.
//
// The protocols are not spoken here, and what runs on a machine is package
// node's. What was seen goes to a fleet.Fleet, which remembers it.
package netboot
