package gallery

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"slipway/internal/distro/apk/apktest"
	"slipway/internal/e2e/kit"
)

// minirootfs is the root archive that Alpine publishes, for this architecture.
func minirootfs(t *testing.T) string {
	t.Helper()
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	found, _ := filepath.Glob(filepath.Join(apktest.Fixtures(t), "alpine-minirootfs-*-"+arch+".tar.gz"))
	if len(found) == 0 {
		t.Skipf("the fixtures have no root archive for %s", runtime.GOARCH)
	}
	return found[0]
}

// onTarball is a machine over a root archive that has busybox and no more.
const onTarball = `slipway: v1
name: raft
system: linux
from: %s
init: busybox
hostname: raft
files:
  - {path: /srv/page, content: "afloat\n"}
  - path: /etc/inittab
    content: |
      ::respawn:/bin/busybox nc -lk -p 80 -e /bin/cat /srv/page
users: [{name: ops, uid: 1500}]
run: ["cat /etc/alpine-release > /srv/release", "apk audit --system > /srv/audit"]
probes:
  - {name: page, command: "nc 127.0.0.1 80 </dev/null", stdout: "afloat\n"}
  - {name: user, command: "id -u ops", stdout: "1500\n"}
  - {name: release, command: "cmp /srv/release /etc/alpine-release"}
  - {name: name, command: hostname, stdout: "raft\n"}
  - {name: port, tcp: 80}
`

// TestTarball: the root archive of a distribution becomes a tree with all that
// it had, is changed, and is proved as a container.
func TestTarball(t *testing.T) {
	kit.NeedMachines(t)
	w := kit.SharedWorld(t)
	from := minirootfs(t)
	file := kit.Write(t, w.Dir, "raft.yaml", fmt.Sprintf(onTarball, fmt.Sprintf("{file: %s, sha256: %s}", from, sum(t, from))))
	out := filepath.Join(w.Dir, "raft.tar")
	w.Must("build", file, "-o", out)
	got, want := listed(t, out), listed(t, from)
	for _, own := range []string{"etc/inittab", "etc/hostname", "etc/hosts", "etc/passwd", "etc/passwd-", "etc/group", "etc/group-", "etc/shadow", "etc/shadow-"} {
		delete(want, own)
	}
	for name, member := range want {
		if got[name] != member {
			t.Errorf("%s: %q in the archive, %q in the machine", name, member, got[name])
		}
	}
	if len(want) < 400 {
		t.Errorf("only %d members were compared", len(want))
	}
	if r := w.Must("test", file); !strings.Contains(r.Stdout, "5 of 5 probes held") {
		t.Errorf("not proved:\n%s", r.Text())
	}
}

// TestTarballLocked: the lock pins the archive, and another one under its name
// is refused.
func TestTarballLocked(t *testing.T) {
	w := kit.NewWorld(t)
	archive := kit.Write(t, w.Dir, "locked.tar", string(packed(t, "etc/passwd", "root:x:0:0::/:/bin/sh\n")))
	file := kit.Write(t, w.Dir, "locked.yaml", "slipway: v1\nname: locked\nsystem: linux\nfrom: ./locked.tar\n")
	w.Must("lock", file)
	w.Must("build", file, "--locked", "--offline", "-o", filepath.Join(w.Dir, "locked-out.tar"))
	if err := os.WriteFile(archive, packed(t, "etc/passwd", "root:x:0:0::/root:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := w.Run("build", file, "--locked", "-o", filepath.Join(w.Dir, "locked-out.tar")); r.Status != 1 || !strings.Contains(r.Stderr, "--locked") {
		t.Errorf("another archive under --locked: exit %d\n%s", r.Status, r.Text())
	}
	pinned := kit.Write(t, w.Dir, "pinned.yaml", "slipway: v1\nname: pinned\nsystem: linux\nfrom: {file: ./locked.tar, sha256: "+strings.Repeat("ab", 32)+"}\n")
	if r := w.Run("plan", pinned); r.Status != 1 || !strings.Contains(r.Stderr, "pinned.yaml:4:8") || !strings.Contains(r.Stderr, "and the definition wants abab") {
		t.Errorf("a wrong sha256: exit %d\n%s", r.Status, r.Text())
	}
}

// TestTarballHostile: an archive that means harm is refused by its words, at
// its place in the definition, and nothing of it stays or gets out.
func TestTarballHostile(t *testing.T) {
	w := kit.NewWorld(t)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	tw := tar.NewWriter(z)
	tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "etc/zeros", Size: 200 << 20})
	io.CopyN(tw, zeros{}, 200<<20)
	tw.Close()
	z.Close()
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"climbs": {packed(t, "etc/../../../../../../../../../../tmp/slipway-escaped", "x"), "contains .."},
		"bomb":   {bomb.Bytes(), "it unpacks to far more than its size"},
		"cut":    {packed(t, "etc/a", "x")[:700], "cut short"},
		"no-tar": {[]byte(strings.Repeat("no archive ", 100)), "not a root archive"},
	} {
		kit.Write(t, w.Dir, name+".tar", string(c.data))
		file := kit.Write(t, w.Dir, name+".yaml", "slipway: v1\nname: hostile\nsystem: linux\nfrom: ./"+name+".tar\n")
		r := w.Run("build", file, "-o", filepath.Join(w.Dir, name+"-out.tar"))
		if r.Status != 1 || !strings.Contains(r.Stderr, c.want) || !strings.Contains(r.Stderr, name+".yaml:4:7") {
			t.Errorf("%s: exit %d, want %q\n%s", name, r.Status, c.want, r.Text())
		}
		sha := fmt.Sprintf("%x", sha256.Sum256(c.data))
		for _, left := range []string{"packs/" + sha + ".pack", "tarballs/" + sha + ".tar"} {
			if _, err := os.Lstat(filepath.Join(w.Store, left)); err == nil {
				t.Errorf("%s: %s stayed in the store", name, left)
			}
		}
	}
	if _, err := os.Lstat("/tmp/slipway-escaped"); err == nil {
		t.Error("a member got out of the tree")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// packed is an archive with one file.
func packed(t *testing.T, name, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))})
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sum(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// listed says of each member what it is, whose, and what is in it.
func listed(t *testing.T, file string) map[string]string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(file, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]string{}
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		data := sha256.New()
		if err == nil {
			_, err = io.Copy(data, r)
		}
		if err != nil {
			t.Fatal(err)
		}
		name := strings.Trim(strings.TrimPrefix(h.Name, "./"), "/")
		times := ""
		if h.Typeflag == tar.TypeReg {
			times = h.ModTime.UTC().String()
		}
		out[name] = fmt.Sprintf("%c %o %d:%d %s %d %x %s", h.Typeflag, h.Mode&0o7777, h.Uid, h.Gid, h.Linkname, h.Size, data.Sum(nil), times)
	}
}
