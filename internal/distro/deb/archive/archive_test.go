package archive_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slipway/internal/distro/deb/archive"
	"slipway/internal/distro/deb/archive/archivetest"
	"slipway/internal/fetch"
)

// sample is an archive with one package per suite.
func sample(t *testing.T) *archivetest.Archive {
	a := archivetest.New(t)
	a.Add(
		archivetest.Deb{Name: "base-files", Version: "13", Essential: true, Files: map[string]string{"/etc/debian_version": "13\n"}},
		archivetest.Deb{Name: "hello", Version: "1:2.0-1", Architecture: "amd64", Depends: "base-files (>= 12)"},
		archivetest.Deb{Name: "hello", Version: "1:2.0-1", Architecture: "arm64"},
		archivetest.Deb{Name: "tzdata", Version: "2026b", Suite: "-updates"},
		archivetest.Deb{Name: "hello", Version: "1:2.0-1+deb13u1", Architecture: "amd64", Suite: "-security"},
	)
	return a
}

// quick gives up soon.
func quick() *fetch.Fetcher {
	return &fetch.Fetcher{Tries: 2, BackOff: time.Millisecond, Stall: 300 * time.Millisecond}
}

func config(t *testing.T, a *archivetest.Archive, url string) archive.Config {
	return archive.Config{Release: "trixie", Arch: "amd64", CacheDir: filepath.Join(t.TempDir(), "indexes"),
		Mirrors: []archive.Mirror{{Main: url}}, KeyFile: a.KeyFile(), Fetcher: quick()}
}

func open(t *testing.T, c archive.Config) *archive.Archive {
	t.Helper()
	got, err := archive.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func names(a *archive.Archive) string {
	var list []string
	for _, p := range a.Packages {
		list = append(list, p.Name+"="+p.Version)
	}
	return strings.Join(list, " ")
}

const sampleNames = "base-files=13 hello=1:2.0-1 tzdata=2026b hello=1:2.0-1+deb13u1"

func TestOpen(t *testing.T) {
	source := sample(t)
	url := source.Serve()
	a := open(t, config(t, source, url))
	if names(a) != sampleNames {
		t.Errorf("got %s, want %s", names(a), sampleNames)
	}
	if !a.Date.Equal(source.Date) || len(a.Releases) != 3 || len(a.Indexes) != 3 || len(a.Notes) != 0 {
		t.Errorf("got date %v, %d releases, %d indexes, notes %q", a.Date, len(a.Releases), len(a.Indexes), a.Notes)
	}
	p := a.Packages[3]
	if o := p.Origin; o.Base != url+"-security/" || o.Suite != "trixie-security" || o.Archive != "stable-security" || o.Priority != 500 || o.Order != 2 || o.Component != "main" {
		t.Errorf("got origin %+v", o)
	}
	item := a.Item(p)
	item.Dest = filepath.Join(t.TempDir(), "x.deb")
	if err := quick().Fetch(context.Background(), []fetch.Item{item}); err != nil {
		t.Error(err)
	}
	if a.Packages[0].Essential != true || a.Packages[1].Depends != "base-files (>= 12)" {
		t.Errorf("fields are lost: %+v", a.Packages[:2])
	}
}

func TestLayouts(t *testing.T) {
	for name, change := range map[string]func(*archivetest.Archive){
		"zst":        func(a *archivetest.Archive) { a.Suffixes = []string{".zst"} },
		"gz":         func(a *archivetest.Archive) { a.Suffixes = []string{".gz"} },
		"plain":      func(a *archivetest.Archive) { a.Suffixes = []string{""} },
		"detached":   func(a *archivetest.Archive) { a.Detached = true },
		"no by-hash": func(a *archivetest.Archive) { a.NoByHash = true },
		"two keys": func(a *archivetest.Archive) {
			a.SignedToo = append(a.SignedToo, archivetest.NewKey(t))
		},
		"security name": func(a *archivetest.Archive) { a.Components = []string{"updates/main"} },
	} {
		t.Run(name, func(t *testing.T) {
			source := sample(t)
			change(source)
			c := config(t, source, source.Serve())
			for range 2 { // from the network, from the store
				if a := open(t, c); names(a) != sampleNames {
					t.Errorf("got %s", names(a))
				}
			}
		})
	}
	t.Run("file", func(t *testing.T) {
		source := sample(t)
		if a := open(t, config(t, source, source.FileURL())); names(a) != sampleNames {
			t.Errorf("got %s", names(a))
		}
	})
	t.Run("foreign", func(t *testing.T) {
		source := sample(t)
		c := config(t, source, source.Serve())
		c.Foreign = []string{"arm64"}
		if a := open(t, c); len(a.Packages) != 7 || a.Indexes[1].Arch != "arm64" {
			t.Errorf("got %s", names(a))
		}
	})
}

func TestCache(t *testing.T) {
	source := sample(t)
	c := config(t, source, source.Serve())
	now := time.Now()
	c.Now = func() time.Time { return now }
	open(t, c)
	source.Requests()

	open(t, c)
	if asked := source.Requests(); len(asked) > 0 {
		t.Errorf("fresh, but asked for %q", asked)
	}
	now = now.Add(2 * time.Hour)
	if a := open(t, c); !a.Releases[0].Cached {
		t.Error("unchanged, but not from the store")
	}
	if asked := source.Requests(); len(asked) != 3 {
		t.Errorf("stale: asked for %q, want three InRelease", asked)
	}
	open(t, c)
	if asked := source.Requests(); len(asked) > 0 {
		t.Errorf("confirmed, but asked for %q", asked)
	}
	source.Add(archivetest.Deb{Name: "new"})
	source.Date = source.Date.Add(time.Minute)
	source.Publish()
	now = now.Add(2 * time.Hour)
	if a := open(t, c); !strings.Contains(names(a), "new=1.0") {
		t.Errorf("the new package is not there: %s", names(a))
	}
}

func TestDamagedCache(t *testing.T) {
	source := sample(t)
	c := config(t, source, source.Serve())
	open(t, c)
	lists, _ := filepath.Glob(filepath.Join(c.CacheDir, "packages", "*"))
	for _, name := range lists {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/2] ^= 1
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if a := open(t, c); len(lists) != 3 || names(a) != sampleNames {
		t.Errorf("got %s from %d lists", names(a), len(lists))
	}
	// A damaged release file is asked for again, not believed.
	release := filepath.Join(c.CacheDir, "suites", "debian_trixie", "InRelease")
	data, _ := os.ReadFile(release)
	if err := os.WriteFile(release, []byte(strings.Replace(string(data), "Debian", "Xebian", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if a := open(t, c); a.Releases[0].Cached || names(a) != sampleNames {
		t.Errorf("a damaged release file is used")
	}
}

func TestOffline(t *testing.T) {
	source := sample(t)
	c := config(t, source, source.Serve())
	c.Offline = true
	if _, err := archive.Open(context.Background(), c); !errors.Is(err, archive.ErrOffline) {
		t.Errorf("empty store: got %v, want ErrOffline", err)
	}
	c.Offline = false
	open(t, c)
	source.Requests()
	c.Offline, c.MaxAge = true, -1
	if a := open(t, c); names(a) != sampleNames || len(source.Requests()) > 0 {
		t.Errorf("got %s", names(a))
	}
}

func TestSilentMirror(t *testing.T) {
	source := sample(t)
	c := config(t, source, source.Serve())
	open(t, c)
	source.Break(archivetest.Fault{Status: 503})
	c.MaxAge = -1
	a := open(t, c)
	if names(a) != sampleNames || len(a.Notes) != 3 || !strings.Contains(a.Notes[0], "still valid") {
		t.Errorf("got %s, notes %q", names(a), a.Notes)
	}
}

func TestFaults(t *testing.T) {
	cases := map[string]struct {
		change func(*archivetest.Archive)
		fault  archivetest.Fault
		clock  time.Duration
		config func(*archive.Config)
		want   error
		text   string
	}{
		"unknown release":   {config: func(c *archive.Config) { c.Release = "trixy" }, want: archive.ErrNoRelease, text: "known are bullseye, bookworm, trixie"},
		"strange release":   {config: func(c *archive.Config) { c.Release = "../x" }, text: "not the name of a release"},
		"unknown component": {config: func(c *archive.Config) { c.Components = []string{"mane"} }, want: archive.ErrMismatch, text: "it has main"},
		"unknown arch":      {config: func(c *archive.Config) { c.Arch = "vax" }, want: archive.ErrMismatch, text: "made for all, amd64, arm64"},
		"other key":         {config: func(c *archive.Config) { c.KeyFile = "" }, want: archive.ErrSignature, text: "is not known"},
		"missing key file":  {config: func(c *archive.Config) { c.KeyFile = "/nonexistent/key" }, want: os.ErrNotExist, text: "/nonexistent/key"},
		"bad signature":     {fault: archivetest.Fault{Path: "InRelease", Flip: 120}, want: archive.ErrSignature, text: "is bad"},
		"text behind":       {fault: archivetest.Fault{Path: "InRelease", Append: "Origin: evil\n"}, want: archive.ErrSignature, text: "after its signature"},
		"login page":        {fault: archivetest.Fault{Path: "InRelease", Body: "<html>please pay"}, want: archive.ErrSignature, text: "<html>"},
		"cut InRelease":     {fault: archivetest.Fault{Path: "InRelease", Body: "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nx"}, want: archive.ErrSignature, text: "cut off"},
		"unsigned":          {change: func(a *archivetest.Archive) { a.Unsigned = true }, want: archive.ErrSignature, text: "not signed"},
		"weak digests":      {change: func(a *archivetest.Archive) { a.Digests = "MD5Sum" }, want: archive.ErrWeak, text: "SHA256"},
		"other suite":       {change: func(a *archivetest.Archive) { a.Codename, a.Suite = "forky", "testing" }, want: archive.ErrMismatch, text: "codename forky"},
		"expired":           {change: func(a *archivetest.Archive) { a.ValidFor = time.Minute }, want: archive.ErrExpired, text: "valid until"},
		"clock behind":      {clock: -1000 * time.Hour, want: archive.ErrClock, text: "set the clock"},
		"clock ahead":       {change: func(a *archivetest.Archive) { a.ValidFor = 48 * time.Hour }, clock: 1000 * time.Hour, want: archive.ErrExpired, text: "clock"},
		"no index":          {fault: archivetest.Fault{Path: "Packages", Status: 404}, text: ""},
		"wrong index":       {change: func(a *archivetest.Archive) { a.NoByHash = true }, fault: archivetest.Fault{Path: "Packages", Flip: 30}, text: "digest"},
		"long index":        {change: func(a *archivetest.Archive) { a.NoByHash = true }, fault: archivetest.Fault{Path: "Packages", Append: "x"}, text: "bytes"},
		"dying mirror":      {fault: archivetest.Fault{Path: "InRelease", CutAt: 100}, text: "InRelease"},
		"stalling mirror":   {fault: archivetest.Fault{Path: "InRelease", Stall: true}, text: "no data for"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := sample(t)
			if c.change != nil {
				c.change(source)
			}
			conf := config(t, source, source.Serve())
			if c.fault != (archivetest.Fault{}) {
				if c.fault.Path == "Packages" {
					source.Break(archivetest.Fault{Path: "by-hash", Status: 404})
				}
				source.Break(c.fault)
			}
			conf.Now = func() time.Time { return time.Now().Add(c.clock) }
			if c.config != nil {
				c.config(&conf)
			}
			_, err := archive.Open(context.Background(), conf)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("got %v, want %v with %q", err, c.want, c.text)
			}
			if left, _ := filepath.Glob(filepath.Join(conf.CacheDir, "packages", "*")); name == "wrong index" && len(left) > 0 {
				t.Errorf("stored: %v", left)
			}
		})
	}
}

func TestRollback(t *testing.T) {
	source := sample(t)
	c := config(t, source, source.Serve())
	c.MaxAge = -1
	open(t, c)
	newest := source.Date
	source.Date = newest.Add(-48 * time.Hour)
	source.Add(archivetest.Deb{Name: "old"})
	source.Publish()

	// The store's newer index is used, and said.
	a := open(t, c)
	if names(a) != sampleNames || len(a.Notes) != 3 || !strings.Contains(a.Notes[0], "older than the store's") || !a.Date.Equal(newest) {
		t.Errorf("got %s, notes %q", names(a), a.Notes)
	}
	// Another mirror that is current is used.
	current := sample(t)
	current.SignedBy, current.Date = source.SignedBy, newest.Add(time.Minute)
	two := c
	two.Mirrors = append(two.Mirrors, archive.Mirror{Main: current.Serve()})
	two.CacheDir = t.TempDir()
	copyMemory(t, c.CacheDir, two.CacheDir)
	if a := open(t, two); names(a) != sampleNames || a.Releases[0].Base != two.Mirrors[1].Main+"/" {
		t.Errorf("got %s from %s", names(a), a.Releases[0].Base)
	}
	// Without either the old one is refused.
	alone := c
	alone.CacheDir = t.TempDir()
	copyMemory(t, c.CacheDir, alone.CacheDir)
	_, err := archive.Open(context.Background(), alone)
	if !errors.Is(err, archive.ErrRollback) || !strings.Contains(err.Error(), newest.UTC().Format("2006-01-02")) || !strings.Contains(err.Error(), source.Date.UTC().Format("2006-01-02")) {
		t.Errorf("got %v, want ErrRollback with both dates", err)
	}
}

// copyMemory copies what is remembered of the suites, without the files.
func copyMemory(t *testing.T, from, to string) {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(from, "suites", "*", "memory.json"))
	for _, name := range found {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		dest := filepath.Join(to, "suites", filepath.Base(filepath.Dir(name)), "memory.json")
		if err := os.MkdirAll(filepath.Dir(dest), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dest, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(found) == 0 {
		t.Fatal("nothing is remembered")
	}
}

func TestRepositories(t *testing.T) {
	source := sample(t)
	other := archivetest.New(t)
	other.Release, other.Suite = "extra", "extra"
	other.Add(archivetest.Deb{Name: "special"})
	c := config(t, source, source.Serve())
	url := other.Serve()
	c.Repositories = []archive.Repository{{URL: url, Suite: "extra", SignedBy: other.KeyFile(), Priority: 990}}
	a := open(t, c)
	last := a.Packages[len(a.Packages)-1]
	if last.Name != "special" || last.Origin.Priority != 990 || last.Origin.Base != url+"/" {
		t.Errorf("got %+v of %+v", last, last.Origin)
	}
	c.NoDistribution = true
	if a := open(t, c); len(a.Packages) != 1 {
		t.Errorf("mirror: none: got %s", names(a))
	}
	c.Repositories[0].SignedBy = ""
	if _, err := archive.Open(context.Background(), c); err == nil || !strings.Contains(err.Error(), "signed_by") {
		t.Errorf("without a key: got %v", err)
	}
	c.Repositories = nil
	if _, err := archive.Open(context.Background(), c); err == nil {
		t.Error("nothing to open: no error")
	}
}

func TestCancel(t *testing.T) {
	source := sample(t)
	c := config(t, source, source.Serve())
	source.Break(archivetest.Fault{Delay: time.Minute})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := archive.Open(ctx, c); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(start))
	}
}

// TestEmptyLists: components without packages have the same list, which is
// fetched once.
func TestEmptyLists(t *testing.T) {
	a := archivetest.NewUbuntu(t)
	a.Archs = []string{"amd64"}
	a.Add(archivetest.Deb{Name: "one"})
	url := a.Serve()
	opened, err := archive.Open(t.Context(), archive.Config{
		Distribution: archive.Ubuntu, Release: "noble", Arch: "amd64", CacheDir: t.TempDir(), KeyFile: a.KeyFile(),
		Components: a.Components, Mirrors: []archive.Mirror{{Main: url}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(opened.Packages) != 1 || len(opened.Indexes) != 12 {
		t.Errorf("%d packages in %d lists", len(opened.Packages), len(opened.Indexes))
	}
	lists := 0
	for _, path := range a.Requests() {
		if strings.Contains(path, "/binary-") {
			lists++
		}
	}
	if lists != 2 {
		t.Errorf("%d lists were fetched, of which two differ", lists)
	}
}
