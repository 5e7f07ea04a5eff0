package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// alpineSet is installed on top of alpine-base, from packages that Alpine signed.
var alpineSet = []string{"openssh", "chrony", "openssl", "e2fsprogs"}

// alpineParts are the real apk of an Alpine root and the folder of packages.
type alpineParts struct{ judge, packages string }

// alpineFixtures unpacks the judge from the fixtures beside the repository.
func (b *bench) alpineFixtures() (*alpineParts, error) {
	dir := os.Getenv("SLIPWAY_FIXTURES")
	if dir == "" {
		dir = "../shared/fixtures"
	}
	dir, err := filepath.Abs(filepath.Join(dir, "alpine"))
	if err != nil {
		return nil, err
	}
	p := &alpineParts{filepath.Join(b.disks[0].dir, "judge"), filepath.Join(dir, "repo-3.19/apks")}
	if _, err := os.Stat(p.judge); err == nil {
		return p, nil
	}
	if _, err := os.Stat(p.packages); err != nil {
		return nil, fmt.Errorf("%w (SLIPWAY_FIXTURES names the folder of fixtures)", err)
	}
	if err := os.Mkdir(p.judge, 0o755); err != nil {
		return nil, err
	}
	_, err = command("tar", "-xzf", filepath.Join(dir, "alpine-minirootfs-3.20.3-x86_64.tar.gz"), "-C", p.judge)
	return p, err
}

// seed makes what apk wants of a new root: keys that it trusts and the repository.
func (p *alpineParts) seed(root string) error {
	if err := os.MkdirAll(filepath.Join(root, "etc/apk"), 0o755); err != nil {
		return err
	}
	if _, err := command("cp", "-r", filepath.Join(p.judge, "usr/share/apk/keys"), filepath.Join(root, "etc/apk/keys")); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(root, "etc/apk/repositories"), []byte("file://"+p.packages+"\n"), 0o644)
}

// add is the command line that installs the set there.
func (p *alpineParts) add(root string) []string {
	args := []string{p.judge + "/lib/ld-musl-x86_64.so.1", "--library-path", p.judge + "/lib:" + p.judge + "/usr/lib", p.judge + "/sbin/apk",
		"--root", root, "--initdb", "--arch", "x86_64", "--no-network", "--quiet", "add", "alpine-base"}
	return append(args, alpineSet...)
}

// alpine: apk add --root, against a build with an empty store and one with a
// store that has the packages but no tree.
func (b *bench) alpine(d disk) error {
	p, err := b.alpineFixtures()
	if errors.Is(err, os.ErrNotExist) {
		fmt.Printf("alpine is left out: %v\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	file := filepath.Join(b.work, "bench-alpine.yaml")
	text := fmt.Sprintf("slipway: v1\nname: bench-alpine\nsystem: alpine/3.19\narch: amd64\ninit: none\nmirror: none\nrepositories: [{url: \"file://%s\"}]\npackages: [%s]\n",
		p.packages, strings.Join(alpineSet, ", "))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	stored := d.folder("alpine-stored")
	if _, _, err := b.timed(b.build(file, "plain", stored)...); err != nil {
		return err
	}
	for _, name := range []string{"layers", "trees", "notes"} {
		if err := remove(filepath.Join(stored, name)); err != nil {
			return err
		}
	}
	for i := range 3 * b.runs { // they are short
		root := d.folder("alpine-peer", i)
		if err := p.seed(root); err != nil {
			return err
		}
		s, _, err := b.timed(p.add(root)...)
		if err != nil {
			return err
		}
		b.note(d, "alpine apk", s)
		if err := d.drop(root); err != nil {
			return err
		}
		for _, kind := range []string{"cold", "stored"} {
			store := d.folder("alpine", kind, i)
			if kind == "stored" {
				if err := clone(stored, store); err != nil {
					return err
				}
			}
			s, _, err := b.timed(b.build(file, "plain", store)...)
			if err != nil {
				return err
			}
			b.note(d, "alpine "+kind, s)
			if err := d.drop(store); err != nil {
				return err
			}
		}
	}
	return nil
}
