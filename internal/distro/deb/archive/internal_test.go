package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/distro/deb/control"
	"slipway/internal/distro/deb/hostapt"
	"slipway/internal/fetch"
)

func TestEmbeddedKeys(t *testing.T) {
	table, err := os.ReadFile("keys/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []*Distribution{Debian, Ubuntu} {
		ring, err := d.Keys()
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(table), "| "+d.Name+"-archive-"); n != len(ring.keys) {
			t.Errorf("%s: %d keys are embedded, %d documented", d.Name, len(ring.keys), n)
		}
		for _, f := range ring.Fingerprints() {
			if !strings.Contains(string(table), f) {
				t.Errorf("%s: key %s is not documented", d.Name, f)
			}
		}
	}
}

var packages = []control.Package{
	{Name: "a", Version: "1", Architecture: "all", Source: "a", Depends: "b, c", Essential: true, Size: 1 << 40, InstalledSize: 7, SHA256: strings.Repeat("0", 64)},
	{Name: "b", Version: "1", Architecture: "amd64", Source: "a", Protected: true, Provides: "x (= 1)", Filename: "pool/b"},
	{},
}

func encode(t testing.TB, list []control.Package) []byte {
	c := newCompactor(0)
	for i := range list {
		if err := c.add(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := c.writeTo(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestCompact(t *testing.T) {
	data := encode(t, packages)
	got, err := decodeCompact(data, nil)
	if diff := cmp.Diff(packages, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for i := range data {
		damaged := bytes.Clone(data)
		damaged[i] ^= 0x40
		if _, err := decodeCompact(damaged, nil); err == nil {
			t.Errorf("byte %d changed: no error", i)
		}
		if _, err := decodeCompact(data[:i], nil); err == nil {
			t.Errorf("cut at %d: no error", i)
		}
	}
}

func TestExactly(t *testing.T) {
	for _, c := range []struct {
		size   int64
		atMost bool
		ok     bool
	}{{5, false, true}, {4, false, false}, {6, false, false}, {6, true, true}, {4, true, false}} {
		_, err := io.ReadAll(&exactly{r: strings.NewReader("12345"), left: c.size, atMost: c.atMost})
		if (err == nil) != c.ok {
			t.Errorf("%+v: got %v", c, err)
		}
	}
}

const releaseText = `Origin: Debian
Suite: stable
Codename: trixie
Date: Sat, 12 Sep 2026 07:55:41 UTC
Architectures: all amd64
Components: main
SHA256:
 0000000000000000000000000000000000000000000000000000000000000000 12 main/binary-amd64/Packages
`

func TestParseRelease(t *testing.T) {
	r, err := parseRelease([]byte(releaseText))
	if err != nil || len(r.files) != 1 || r.files["main/binary-amd64/Packages"].size != 12 || !r.date.Equal(time.Date(2026, 9, 12, 7, 55, 41, 0, time.UTC)) {
		t.Errorf("got %+v, %v", r, err)
	}
	for name, change := range map[string][2]string{
		"date": {"Sat, 12 Sep 2026 07:55:41 UTC", "tomorrow"}, "zone": {"41 UTC", "41 +0200"}, "no date": {"Date:", "Dat:"},
		"digest": {" 00", " zz"}, "short digest": {" 00", " "}, "size": {" 12 ", " -1 "}, "columns": {" 12 ", " "},
		"two sizes": {"Packages\n", "Packages\n 0000000000000000000000000000000000000000000000000000000000000000 13 main/binary-amd64/Packages\n"},
	} {
		if _, err := parseRelease([]byte(strings.Replace(releaseText, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if r, err := parseRelease([]byte(strings.Replace(releaseText, "Sat, 12", "Sat,  2", 1))); err != nil {
		t.Errorf("a day with a blank: %v, %v", r, err)
	}
}

func FuzzParseRelease(f *testing.F) {
	f.Add([]byte(releaseText))
	f.Add([]byte("MD5Sum:\n x\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if r, err := parseRelease(in); err == nil {
			_ = r.check("x", "trixie", time.Now())
		}
	})
}

func FuzzDecodeCompact(f *testing.F) {
	f.Add(encode(f, packages))
	f.Add(encode(f, nil))
	f.Fuzz(func(t *testing.T, in []byte) {
		list, err := decodeCompact(in, nil)
		if err == nil && len(list)*recordSize > len(in) {
			t.Errorf("%d packages of %d bytes", len(list), len(in))
		}
	})
}

func FuzzOpenClearsigned(f *testing.F) {
	ring, err := Debian.Keys()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nx\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if text, _, err := ring.openClearsigned(in, time.Now()); err == nil {
			t.Errorf("a forgery: %q", text)
		}
	})
}

// TestRealArchive reads the archive that the host itself uses.
func TestRealArchive(t *testing.T) {
	if testing.Short() {
		t.Skip("uses the network")
	}
	main, security, transport, err := hostapt.Mirror("/", "debian")
	if err != nil || main == "" {
		t.Skipf("the host's apt has no Debian mirror (%v)", err)
	}
	client, err := fetch.NewClient(transport)
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Release: "trixie", Arch: "amd64", CacheDir: t.TempDir(), Mirrors: []Mirror{{main, security}},
		Fetcher: &fetch.Fetcher{Client: client, Tries: 1, Stall: 5 * time.Second}}
	a, err := Open(context.Background(), config)
	if fetch.Unreachable(err) {
		t.Skipf("no network: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Packages) < 60_000 || len(a.Releases) != 3 {
		t.Errorf("got %d packages of %d suites", len(a.Packages), len(a.Releases))
	}
	for _, p := range a.Packages {
		if p.Name == "" || p.Size <= 0 || len(p.SHA256) != 64 || p.Filename == "" {
			t.Fatalf("incomplete: %+v", p)
		}
		for _, field := range []string{p.Depends, p.PreDepends, p.Recommends, p.Conflicts, p.Breaks, p.Replaces, p.Provides} {
			if _, err := control.ParseRelations(field); err != nil {
				t.Fatalf("%s: %v", p.ID(), err)
			}
		}
	}
	start := time.Now()
	if a, err = Open(context.Background(), config); err != nil || time.Since(start) > 2*time.Second {
		t.Errorf("again: %v after %v", err, time.Since(start))
	}
	config.Release = "nosuch"
	if _, err := Open(context.Background(), config); !errors.Is(err, ErrNoRelease) {
		t.Errorf("got %v, want ErrNoRelease", err)
	}
	config.Now = func() time.Time { return a.Date.Add(365 * 24 * time.Hour) }
	config.Release = "sid"
	if _, err := Open(context.Background(), config); !errors.Is(err, ErrExpired) {
		t.Errorf("sid in a year: got %v, want ErrExpired", err)
	}
}
