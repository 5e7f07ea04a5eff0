// Package apktest gives tests of the apk family real material: the fixtures
// (a mirror's indexes, a hundred packages as Alpine signed them) and the judge,
// the real apk-tools of an Alpine root. It is for tests only.
package apktest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Fixtures is the folder of real artefacts, SLIPWAY_FIXTURES or the one beside
// the repository. Without it the test is skipped.
func Fixtures(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("SLIPWAY_FIXTURES")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "../../../../../shared/fixtures")
	}
	dir = filepath.Join(dir, "alpine")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("no fixtures of Alpine here: SLIPWAY_FIXTURES names no folder with them")
	}
	return dir
}

// Packages is the folder of the repository with the hundred packages.
func Packages(t testing.TB) string { return filepath.Join(Fixtures(t), "repo-3.19/apks") }

// Judge is a minimal Alpine whose apk is run by its own loader.
type Judge struct{ Dir string }

// NewJudge unpacks the Alpine root of the fixtures.
func NewJudge(t testing.TB) *Judge {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("the judge is a program for amd64")
	}
	j := &Judge{t.TempDir()}
	if err := untar(filepath.Join(Fixtures(t), "alpine-minirootfs-3.20.3-x86_64.tar.gz"), j.Dir); err != nil {
		t.Fatal(err)
	}
	return j
}

// Command prepares apk with arguments.
func (j *Judge) Command(args ...string) *exec.Cmd {
	base := []string{"--library-path", j.Dir + "/lib:" + j.Dir + "/usr/lib", j.Dir + "/sbin/apk"}
	cmd := exec.Command(j.Dir+"/lib/ld-musl-x86_64.so.1", append(base, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	return cmd
}

// Run runs apk and gives what it printed. It must succeed.
func (j *Judge) Run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := j.Command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("apk %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Root makes an empty root that trusts Alpine's keys and uses these repositories.
func (j *Judge) Root(t testing.TB, repositories ...string) string {
	t.Helper()
	root := t.TempDir()
	os.Chmod(root, 0o755)
	keys := filepath.Join(root, "etc/apk/keys")
	if err := os.MkdirAll(keys, 0o755); err != nil {
		t.Fatal(err)
	}
	from, err := filepath.Glob(filepath.Join(j.Dir, "usr/share/apk/keys/*.pub"))
	if err != nil || len(from) == 0 {
		t.Fatalf("no keys in the judge: %v", err)
	}
	for _, name := range from {
		data, err := os.ReadFile(name)
		if err == nil {
			err = os.WriteFile(filepath.Join(keys, filepath.Base(name)), data, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Join(repositories, "\n") + "\n"
	if err := os.WriteFile(filepath.Join(root, "etc/apk/repositories"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return root
}

func untar(file, dir string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	r := tar.NewReader(z)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		switch h.Typeflag {
		case tar.TypeDir:
			err = os.MkdirAll(path, 0o755)
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, path)
		case tar.TypeReg:
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, content, os.FileMode(h.Mode&0o777))
			}
		case tar.TypeLink:
			err = os.Link(filepath.Join(dir, filepath.Clean("/"+h.Linkname)), path)
		}
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", h.Name, err)
		}
	}
}
