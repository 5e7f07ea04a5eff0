package qemu

import "testing"

func TestEmulated(t *testing.T) {
	for _, c := range []struct{ arch, line, want string }{
		{"amd64", "root=/dev/vda rw", "root=/dev/vda rw cryptomgr.notests initcall_blacklist=jent_mod_init no_timer_check"},
		{"arm64", "rw", "rw cryptomgr.notests initcall_blacklist=jent_mod_init"},
		{"amd64", "fips=1 rw", "fips=1 rw no_timer_check"},
		{"amd64", "fips=0", "fips=0 cryptomgr.notests initcall_blacklist=jent_mod_init no_timer_check"},
	} {
		if got := Emulated(c.arch, c.line); got != c.want {
			t.Errorf("%s, %q: %q, want %q", c.arch, c.line, got, c.want)
		}
	}
}
