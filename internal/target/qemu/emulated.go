package qemu

import "slipway/internal/bootfiles/cmdline"

// Emulated adds to a kernel's command line what an emulated processor is better
// off without: the self-tests of ciphers, a third of the time until such a
// kernel has its root; the source of random numbers that measures the jitter of
// the processor's clock, and tests it at every start; and a test of the timer,
// for which a busy host may miss the ticks. A machine in FIPS mode keeps the
// former two, which it must not start without.
func Emulated(arch, line string) string {
	if fips, _ := cmdline.Parse(line).Get("fips"); fips == "" || fips == "0" {
		line += " cryptomgr.notests initcall_blacklist=jent_mod_init"
	}
	if arch == "amd64" {
		line += " no_timer_check"
	}
	return line
}
