package sandbox

import (
	"math"
	"runtime"

	"golang.org/x/sys/unix"
)

// archTable holds the rules for one system call ABI.
type archTable struct {
	arch  uint32
	rules []rule
}

// numbers are the system call numbers of one ABI that the filter is about.
type numbers struct {
	arch   uint32
	deny   []uint32 // always EPERM
	clone  uint32   // EPERM with CLONE_NEWUSER
	unsh   uint32   // EPERM with CLONE_NEWUSER
	ioctl  uint32   // EPERM for TIOCSTI, which types into a terminal
	clone3 uint32   // ENOSYS: its flags lie in memory; libraries fall back to clone
	sync   []uint32 // sync, fsync, fdatasync, syncfs, sync_file_range: see Command.NoSync
	ids    []idCall // EPERM when one of the ids is SelfID
}

// idCall is a system call that takes user or group ids, from argument first on.
type idCall struct{ nr, first, count uint32 }

// idCalls lists, in this order, chown, lchown (0: the ABI has none), fchown,
// fchownat, setuid, setgid, setreuid, setregid, setresuid, setresgid, setfsuid
// and setfsgid with 32-bit ids.
func idCalls(nrs [12]uint32) []idCall {
	shape := [12][2]uint32{{1, 2}, {1, 2}, {1, 2}, {2, 2}, {0, 1}, {0, 1}, {0, 2}, {0, 2}, {0, 3}, {0, 3}, {0, 1}, {0, 1}}
	var list []idCall
	for i, nr := range nrs {
		if nr != 0 {
			list = append(list, idCall{nr, shape[i][0], shape[i][1]})
		}
	}
	return list
}

// commonDeny has the same numbers everywhere (Linux gives new calls one number
// on all architectures since 5.1): the mount calls and io_uring, whose
// operations a filter cannot see.
var commonDeny = []uint32{
	425, 426, 427, // io_uring_setup, _enter, _register
	428, 429, 430, 431, 432, 433, // open_tree, move_mount, fsopen, fsconfig, fsmount, fspick
	442, // mount_setattr
	467, // open_tree_attr
}

// The lists below hold, in this order where the ABI has them: mount, umount2,
// pivot_root, swapon, swapoff, reboot, kexec_load, kexec_file_load,
// init_module, finit_module, delete_module, bpf, keyctl, add_key, request_key,
// perf_event_open, ptrace, process_vm_readv, process_vm_writev, settimeofday,
// clock_settime, adjtimex, clock_adjtime, acct, quotactl, setns, syslog,
// open_by_handle_at, userfaultfd, vhangup, then the ABI's own old calls.
var (
	numbersAMD64 = numbers{
		arch: unix.AUDIT_ARCH_X86_64,
		deny: []uint32{165, 166, 155, 167, 168, 169, 246, 320, 175, 313, 176, 321, 250, 248, 249, 298, 101, 310, 311,
			164, 227, 159, 305, 163, 179, 308, 103, 304, 323, 153,
			172, 173, 174, 177, 178, 154, 156, 139}, // iopl, ioperm, create_module, get_kernel_syms, query_module, modify_ldt, _sysctl, sysfs
		clone: 56, unsh: 272, ioctl: 16, clone3: 435,
		sync: []uint32{162, 74, 75, 306, 277},
		ids:  idCalls([12]uint32{92, 94, 93, 260, 105, 106, 113, 114, 117, 119, 122, 123}),
	}
	numbersI386 = numbers{
		arch: unix.AUDIT_ARCH_I386,
		deny: []uint32{21, 52, 217, 87, 115, 88, 283, 128, 350, 129, 357, 288, 286, 287, 336, 26, 347, 348,
			79, 264, 124, 343, 51, 131, 346, 103, 342, 374, 111,
			22, 25, 101, 110, 404, 405}, // umount, stime, ioperm, iopl, clock_settime64, clock_adjtime64
		clone: 120, unsh: 310, ioctl: 54, clone3: 435,
		sync: []uint32{36, 118, 148, 344, 314},
		ids:  idCalls([12]uint32{212, 198, 207, 298, 213, 214, 203, 204, 208, 210, 215, 216}),
	}
	numbersARM64 = numbers{
		arch: unix.AUDIT_ARCH_AARCH64,
		deny: []uint32{40, 39, 41, 224, 225, 142, 104, 294, 105, 273, 106, 280, 219, 217, 218, 241, 117, 270, 271,
			170, 112, 171, 266, 89, 60, 268, 116, 265, 282, 58},
		clone: 220, unsh: 97, ioctl: 29, clone3: 435,
		sync: []uint32{81, 82, 83, 267, 84},
		ids:  idCalls([12]uint32{0, 0, 55, 54, 146, 144, 145, 143, 147, 149, 151, 152}),
	}
	numbersARM = numbers{
		arch: unix.AUDIT_ARCH_ARM,
		deny: []uint32{21, 52, 218, 87, 115, 88, 347, 401, 128, 379, 129, 386, 311, 309, 310, 364, 26, 376, 377,
			79, 262, 124, 372, 51, 131, 375, 103, 371, 388, 111,
			404, 405}, // clock_settime64, clock_adjtime64
		clone: 120, unsh: 337, ioctl: 54, clone3: 435,
		sync: []uint32{36, 118, 148, 373, 341},
		ids:  idCalls([12]uint32{212, 198, 207, 325, 213, 214, 203, 204, 208, 210, 215, 216}),
	}
	numbersRISCV64 = numbers{
		arch: unix.AUDIT_ARCH_RISCV64,
		deny: numbersARM64.deny, clone: 220, unsh: 97, ioctl: 29, clone3: 435, sync: numbersARM64.sync, ids: numbersARM64.ids,
	}
)

// filterTables are the ABIs this machine's kernel offers, the native one first.
func filterTables(noSync bool) []archTable {
	switch runtime.GOARCH {
	case "amd64":
		return []archTable{numbersAMD64.table(noSync), numbersI386.table(noSync)}
	case "arm64":
		return []archTable{numbersARM64.table(noSync), numbersARM.table(noSync)}
	case "riscv64":
		return []archTable{numbersRISCV64.table(noSync)}
	}
	return nil
}

func (n numbers) table(noSync bool) archTable {
	t := archTable{arch: n.arch}
	if noSync {
		for _, nr := range n.sync {
			t.rules = append(t.rules, always(nr, pretend))
		}
	}
	for _, nr := range append(append([]uint32{}, n.deny...), commonDeny...) {
		t.rules = append(t.rules, always(nr, denyEPERM))
	}
	t.rules = append(t.rules,
		always(n.clone3, denyENOSYS),
		rule{nr: n.clone, verdict: denyEPERM, arg: 0, mask: unix.CLONE_NEWUSER},
		rule{nr: n.unsh, verdict: denyEPERM, arg: 0, mask: unix.CLONE_NEWUSER},
		rule{nr: n.ioctl, verdict: denyEPERM, arg: 1, mask: math.MaxUint32, value: unix.TIOCSTI},
	)
	// The caller is mapped beside the tree's own ids, for the worker. Nothing in
	// a tree may become the caller, root perhaps, or make files that are his.
	for _, c := range n.ids {
		for arg := c.first; arg < c.first+c.count; arg++ {
			t.rules = append(t.rules, rule{nr: c.nr, verdict: denyEPERM, arg: int(arg), mask: math.MaxUint32, value: SelfID})
		}
	}
	return t
}
