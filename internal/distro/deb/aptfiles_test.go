package deb

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
)

func TestAptFiles(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(key, []byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &machine.Definition{
		System:   "debian/trixie",
		Mirror:   machine.Mirror{Main: "http://mirror.internal/debian"},
		Packages: []string{"nginx=1.26*", "vim/backports", "-nano", "./x/y.deb"},
		Repositories: []machine.Repository{
			{URL: "https://packages.example.org/apt", Suite: "stable", SignedBy: key, Priority: 600},
		},
	}
	files, err := AptFiles(d)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"etc/apt/sources.list": "deb http://ftp.debian.org/debian trixie main\n" +
			"deb http://ftp.debian.org/debian trixie-updates main\n" +
			"deb http://security.debian.org/debian-security trixie-security main\n" +
			"deb http://ftp.debian.org/debian trixie-backports main\n",
		"etc/apt/sources.list.d/slipway-1-packages.example.org.sources": "Types: deb\nURIs: https://packages.example.org/apt\n" +
			"Suites: stable\nComponents: main\nSigned-By: /etc/apt/keyrings/slipway-1-packages.example.org.asc\n",
		"etc/apt/keyrings/slipway-1-packages.example.org.asc": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
		"etc/apt/preferences.d/slipway": "Package: nginx\nPin: version 1.26*\nPin-Priority: 990\n\n" +
			"Package: vim\nPin: release n=trixie-backports\nPin-Priority: 990\n\n" +
			"Package: *\nPin: origin \"packages.example.org\"\nPin-Priority: 600\n\n",
	}
	for name, text := range want {
		if files[name] != text {
			t.Errorf("%s:\n%s\nwant:\n%s", name, files[name], text)
		}
	}
	if len(files) != len(want) {
		t.Errorf("got %d files, want %d", len(files), len(want))
	}
}

func TestAptFilesWithoutDistribution(t *testing.T) {
	files, err := AptFiles(&machine.Definition{System: "debian/trixie", Mirror: machine.Mirror{None: true}})
	if err != nil || len(files) != 0 {
		t.Errorf("got %v, %v", files, err)
	}
}

func TestSidHasNoSecuritySuite(t *testing.T) {
	files, err := AptFiles(&machine.Definition{System: "debian/sid"})
	if err != nil || strings.Contains(files["etc/apt/sources.list"], "security") {
		t.Errorf("got %v, %v", files, err)
	}
}
