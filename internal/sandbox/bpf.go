package sandbox

import (
	"fmt"
	"math"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The filter is a classic BPF program over struct seccomp_data
// (linux/seccomp.h): nr at 0, arch at 4, args (8 bytes each) from 16 on.
const (
	offNr   = 0
	offArch = 4
	offArgs = 16
)

// A verdict is the filter's return value.
const (
	allow      = uint32(unix.SECCOMP_RET_ALLOW)
	denyEPERM  = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	denyENOSYS = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
	pretend    = uint32(unix.SECCOMP_RET_ERRNO) // errno 0: not done, and success
)

// rule is one verdict about one system call; with arg >= 0 only when the low
// half of that argument, masked, is not zero (mask) or equals value.
type rule struct {
	nr      uint32
	verdict uint32
	arg     int
	mask    uint32
	value   uint32
}

func always(nr, verdict uint32) rule { return rule{nr: nr, verdict: verdict, arg: -1} }

func stmt(code uint16, k uint32) unix.SockFilter { return unix.SockFilter{Code: code, K: k} }

func jump(code uint16, k uint32, jt, jf uint8) unix.SockFilter {
	return unix.SockFilter{Code: code, Jt: jt, Jf: jf, K: k}
}

const (
	bpfLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	bpfEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	bpfSet   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	bpfRet   = unix.BPF_RET | unix.BPF_K
)

// assemble writes the program: per architecture its rules in order, then allow.
// System calls of an architecture without rules do not exist.
func assemble(tables []archTable) []unix.SockFilter {
	prog := []unix.SockFilter{stmt(bpfLoad, offArch)}
	for _, t := range tables {
		block := t.block()
		// Jump over a block by a plain jump: its 32-bit offset has no limit.
		prog = append(prog, jump(bpfEqual, t.arch, 1, 0), stmt(unix.BPF_JMP|unix.BPF_JA, uint32(len(block))))
		prog = append(prog, block...)
	}
	return append(prog, stmt(bpfRet, denyENOSYS))
}

// block gives the rules of one architecture. It always returns.
func (t archTable) block() []unix.SockFilter {
	b := []unix.SockFilter{stmt(bpfLoad, offNr)}
	if t.arch == unix.AUDIT_ARCH_X86_64 {
		// Numbers with this bit are the x32 ABI, whose table we do not have.
		b = append(b, jump(bpfSet, 0x40000000, 0, 1), stmt(bpfRet, denyENOSYS))
	}
	for _, r := range t.rules {
		b = append(b, r.code()...)
	}
	return append(b, stmt(bpfRet, allow))
}

func (r rule) code() []unix.SockFilter {
	if r.arg < 0 {
		return []unix.SockFilter{jump(bpfEqual, r.nr, 0, 1), stmt(bpfRet, r.verdict)}
	}
	test := jump(bpfSet, r.mask, 0, 1)
	if r.mask == math.MaxUint32 {
		test = jump(bpfEqual, r.value, 0, 1)
	}
	// All our architectures are little-endian: the low half comes first.
	return []unix.SockFilter{
		jump(bpfEqual, r.nr, 0, 4),
		stmt(bpfLoad, uint32(offArgs+8*r.arg)),
		test,
		stmt(bpfRet, r.verdict),
		stmt(bpfLoad, offNr), // the accumulator held the argument
	}
}

// installFilter sets the filter for the calling thread and its children. It
// needs CAP_SYS_ADMIN in the user namespace, because no_new_privs stays off:
// set-user-id programs of the tree must work.
func installFilter(noSync bool) error {
	tables := filterTables(noSync)
	if tables == nil {
		return nil // no table for this machine: the dropped capabilities stand alone
	}
	prog := assemble(tables)
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(prog)
	if errno == unix.ENOSYS || errno == unix.EINVAL {
		return nil // a kernel without seccomp filters
	}
	if errno != 0 {
		return fmt.Errorf("setting the system call filter: %w", errno)
	}
	return nil
}
