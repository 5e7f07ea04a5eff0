package formats

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/image"
	"slipway/internal/image/imagetest"
	"slipway/internal/image/tarball"
	"slipway/internal/tree"
)

var ctx = context.Background()

func build(t *testing.T, suffix string) string {
	t.Helper()
	tr := imagetest.Trees()[0]
	out := filepath.Join(t.TempDir(), "web"+suffix)
	if err := Build(ctx, out, tr.Manifest, tr.Content, image.Options{}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBuildVerifyRead(t *testing.T) {
	for _, suffix := range archives {
		out := build(t, suffix)
		m, _, err := Read(ctx, out)
		if err != nil {
			t.Fatal(err)
		}
		if d := tree.Compare(m, imagetest.Trees()[0].Manifest); len(d) != 1 || d[0].Path != "dev/log" { // the socket
			t.Errorf("%s: read back: %v", suffix, d)
		}
		line, _ := os.ReadFile(out + ".sha256")
		if !strings.HasSuffix(string(line), "  web"+suffix+"\n") || len(line) != 64+2+3+len(suffix)+1 {
			t.Errorf("%s: sidecar is %q", suffix, line)
		}
		if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 2 {
			t.Errorf("%s: left beside it: %v", suffix, left)
		}
	}
}

// A missing sidecar is an error exactly where the format has no checksum.
func TestVerifyWithoutSidecar(t *testing.T) {
	for _, suffix := range archives {
		out := build(t, suffix)
		os.Remove(image.Sidecar(out))
		err := Verify(out)
		if suffix == ".tar" {
			if !errors.Is(err, image.ErrNoChecksum) {
				t.Errorf("%s: got error %v, want ErrNoChecksum", suffix, err)
			}
		} else if err != nil {
			t.Errorf("%s: %v", suffix, err)
		}
	}
}

// unpacked is what a compression's own checksum covers: some bits of deflate
// can change without changing the content.
func unpacked(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := tarball.Decompress(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	defer r.Close()
	out, _ := io.ReadAll(r)
	return out
}

func TestVerifyDamage(t *testing.T) {
	for _, suffix := range archives {
		out := build(t, suffix)
		good, _ := os.ReadFile(out)
		for _, sidecar := range []bool{true, false} {
			if !sidecar {
				os.Remove(image.Sidecar(out))
			}
			for _, at := range []int{len(good) / 3, len(good) / 2, len(good) - 9} {
				bad := bytes.Clone(good)
				bad[at] ^= 4
				os.WriteFile(out, bad, 0o600)
				if Verify(out) == nil && (sidecar || !bytes.Equal(unpacked(t, bad), unpacked(t, good))) {
					t.Errorf("%s (sidecar %v): a bit flip at %d of %d is not noticed", suffix, sidecar, at, len(good))
				}
			}
			os.WriteFile(out, good[:len(good)-20], 0o600)
			if Verify(out) == nil {
				t.Errorf("%s (sidecar %v): a cut is not noticed", suffix, sidecar)
			}
		}
	}
	out := build(t, ".tar")
	os.WriteFile(image.Sidecar(out), []byte("nonsense"), 0o600)
	if err := Verify(out); err == nil || !strings.Contains(err.Error(), "does not begin with a SHA-256") {
		t.Errorf("broken sidecar: got error %v", err)
	}
}

func TestNames(t *testing.T) {
	for _, bad := range []string{"web", "web.zip", ".tar", "tar", ""} {
		if err := Check(bad); err == nil || !strings.Contains(err.Error(), ".tar.zst") {
			t.Errorf("Check(%q): got error %v", bad, err)
		}
	}
	for _, good := range []string{"web.tar", "a/b.tar.gz", "dir/", "web.tar.xz"} {
		if err := Check(good); err != nil {
			t.Error(err)
		}
	}
}

// What is at the output's place stays when a build fails.
func TestFailureKeepsOld(t *testing.T) {
	out := build(t, ".tar.gz")
	old, _ := os.ReadFile(out)
	tr := imagetest.Trees()[0]
	if err := Build(ctx, out, tr.Manifest, tree.Bytes{}, image.Options{}); err == nil {
		t.Fatal("missing content is no error")
	}
	if now, _ := os.ReadFile(out); !bytes.Equal(old, now) || Verify(out) != nil {
		t.Error("a failed build changed the old image")
	}
	if left, _ := os.ReadDir(filepath.Dir(out)); len(left) != 2 {
		t.Errorf("left beside it: %v", left)
	}
}

// What holds secrets is never readable by others, not even while it is written.
func TestPrivateOutput(t *testing.T) {
	out := filepath.Join(t.TempDir(), "x.tar")
	if err := os.WriteFile(out, nil, 0o666); err != nil { // what it replaces does not matter
		t.Fatal(err)
	}
	m := &tree.Manifest{Entries: []tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}, {Path: "f", Type: tree.File, Size: 1, Digest: tree.Digest(sha256.Sum256([]byte("x")))}}}
	looked := false
	c := looker(func() {
		names, _ := filepath.Glob(filepath.Join(filepath.Dir(out), ".x.tar.*"))
		for _, n := range names {
			st, err := os.Stat(n)
			looked = err == nil && st.Mode().Perm() == 0o600
		}
	})
	if err := Build(t.Context(), out, m, c, image.Options{Private: true}); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(out)
	if err != nil || st.Mode().Perm() != 0o600 || !looked {
		t.Errorf("mode %v, private while it was written: %v, %v", st.Mode(), looked, err)
	}
}

// looker is a content that looks around when it is read.
type looker func()

func (l looker) Open(tree.Digest) (io.ReadCloser, error) {
	l()
	return io.NopCloser(strings.NewReader("x")), nil
}

// archives hold all of a tree; what the others lose is tested with them.
var archives = []string{".tar", ".tar.zst", ".tar.gz", ".tar.xz"}

func TestBootableNames(t *testing.T) {
	for name, want := range map[string]bool{"a.raw": true, "x/a.qcow2": true, "a.efi": true, "a.ext4": true, "a.tar": false, ".raw": false, "dir.raw/": false} {
		if Bootable(name) != want {
			t.Errorf("%s: bootable is %v", name, !want)
		}
	}
	if Suffix("a.cpio.zst") != ".cpio.zst" || Suffix("a.qcow2") != ".qcow2" || Suffix("d/") != "/" || Suffix("a.zip") != "" {
		t.Error("suffixes are told apart wrongly")
	}
}
