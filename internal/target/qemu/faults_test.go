package qemu

import (
	"context"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// script is a QEMU that is a shell script.
type script string

func (s script) Command(ctx context.Context, _, _ string, args ...string) (*exec.Cmd, error) {
	return exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", string(s), "qemu"}, args...)...), nil
}

func (script) Path(context.Context, string, string) (string, error) { return "", errMissing }

// TestDeathAtStart: whatever QEMU dies of is told in words.
func TestDeathAtStart(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"echo \"qemu: cannot set up guest memory 'ram': Cannot allocate memory\" >&2; exit 1", "out of memory: the host refuses 64 MiB"},
		{"echo 'Failed to get \"write\" lock' >&2; exit 1", "a disk is in use by another machine"},
		{"echo 'Could not access KVM kernel module' >&2; exit 1", "KVM cannot be used any more"},
		{"echo 'qemu: warning: noise' >&2; echo 'something else' >&2; exit 1", "QEMU ended at once: something else"},
		{"exit 7", "exit status 7"},
		{"kill -9 $$", "killed"},
		{"printf '{\"QMP\": {}}\\n' >&3; exec sleep 0.1", "starting machine m"},
		{"printf 'no JSON\\n' >&3; sleep 60", "starting machine m"},
	} {
		before := time.Now()
		_, err := Start(t.Context(), Config{Name: "m", Memory: 64 << 20, Programs: script(c.script), Accel: &Accel{Name: "tcg", Major: 10}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.script, err, c.want)
		}
		if time.Since(before) > 10*time.Second {
			t.Errorf("%s: it was waited for", c.script)
		}
	}
}

// TestImpatientCaller: a QEMU that says nothing holds nobody longer than the
// caller waits, and is gone afterwards.
func TestImpatientCaller(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	before := time.Now()
	_, err := Start(ctx, Config{Name: "m", Memory: 64 << 20, Programs: script("exec sleep 60"), Accel: &Accel{Name: "tcg", Major: 10}})
	if err == nil || time.Since(before) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(before), err)
	}
}

func TestServerOfShares(t *testing.T) {
	args := virtiofsdArgs(&Share{Path: "/a b", ReadOnly: true, Owner: 65536})
	for _, want := range []string{"--fd=3", "--shared-dir=/a b", "--readonly", "--translate-uid=map:0:65536:1", "--translate-gid=map:0:65536:1"} {
		if !slices.Contains(args, want) {
			t.Errorf("%s is missing in %q", want, args)
		}
	}
	if plain := strings.Join(virtiofsdArgs(&Share{Path: "/x"}), " "); strings.Contains(plain, "readonly") || strings.Contains(plain, "translate") {
		t.Errorf("got %s", plain)
	}
}
