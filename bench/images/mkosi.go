package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"slipway/internal/distro/deb/archive"
	"slipway/internal/distro/deb/hostapt"
)

// mkosiTree is where mkosi runs: a release whose mkosi writes file systems
// without mounting them, so that the host needs neither loop devices nor vfat.
const mkosiTree = `slipway: v1
name: mkosi
system: debian/trixie
init: none
packages: [mkosi, systemd-repart, systemd-boot-tools, systemd-ukify, systemd-container, udev, mtools, dosfstools, e2fsprogs,
  debian-archive-keyring, zstd, cpio, kmod, bubblewrap, ca-certificates]
`

// mkosiConfig is the same machine as the bench's, as mkosi writes it.
const mkosiConfig = `[Distribution]
Distribution=debian
Release=trixie

[Output]
Format=disk
Output=image
OutputDirectory=/srv/out

[Build]
Incremental=yes
CacheDirectory=/srv/cache
PackageCacheDirectory=/srv/packages
WorkspaceDirectory=/srv/space
BuildSources=

[Content]
Bootable=yes
Bootloader=systemd-boot
Packages=linux-image-amd64,systemd,systemd-sysv,systemd-boot,udev,dbus,nginx-light,openssh-server
`

// mkosiSources takes the place of mkosi's own list, which also names the
// archive of debug symbols: few mirrors have that.
const mkosiSources = `Types: deb
URIs: %s
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: %s
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`

// mkosiEnter runs a command in mkosi's tree, as the root of a mount namespace:
// in a chroot mkosi cannot make its own.
const mkosiEnter = `mount --make-rprivate /
mount --bind mkosi mkosi
for at in proc sys dev; do mount --rbind /$at mkosi/$at; done
mount -t tmpfs tmpfs mkosi/tmp
mount -t tmpfs tmpfs mkosi/run
cp -L /etc/resolv.conf /etc/hosts mkosi/etc/
cd mkosi
pivot_root . mnt
umount -l /mnt
cd /srv
exec mkosi "$@"
`

// prepareMkosi builds its tree with slipway.
func (b *bench) prepareMkosi() error {
	file := b.path("mkosi.yaml")
	if err := os.WriteFile(file, []byte(mkosiTree), 0o644); err != nil {
		return err
	}
	cmd := exec.Command(b.slipway, "-q", "--store", b.store, "build", file, "-o", b.path("mkosi")+"/")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building mkosi's tree: %v: %s", err, text)
	}
	main, security, _, err := hostapt.Mirror("/", "debian")
	if err != nil {
		return err
	}
	if main == "" {
		main = archive.Debian.Official.Main
	}
	sources := fmt.Sprintf(mkosiSources, main, archive.Debian.Security(archive.Mirror{Main: main, Security: security})[0])
	for name, text := range map[string]string{
		"mkosi.conf": mkosiConfig, "mkosi.sandbox/etc/apt/sources.list.d/mkosi.sources": sources, "out/": "", "cache/": "", "packages/": "", "space/": "",
	} {
		path := b.path(filepath.Join("mkosi/srv", name))
		dir := filepath.Dir(path)
		if strings.HasSuffix(name, "/") {
			dir = path
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if text != "" {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return b.mkosiPage("afloat")
}

// mkosiPage is the one file that changes.
func (b *bench) mkosiPage(text string) error {
	dir := b.path("mkosi/srv/mkosi.extra/var/www/html")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "index.html"), []byte(text+"\n"), 0o644)
}

func (b *bench) mkosi(arguments ...string) error {
	cmd := exec.Command("unshare", append([]string{"-m", "bash", "-euc", mkosiEnter, "mkosi"}, arguments...)...)
	cmd.Dir = b.dir
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mkosi: %v: %s", err, text[max(0, len(text)-2000):])
	}
	return nil
}

// mkosiRows are whole builds: everything fetched, and one file changed.
func (b *bench) mkosiRows() []row {
	round := 0
	return []row{
		{
			name: "whole build of a bootable disk, nothing in any cache", peer: "mkosi, the same mirror", must: "0.20", rounds: 1,
			ours: func() error {
				if err := b.definition("afloat"); err != nil {
					return err
				}
				return b.buildIn(b.path("cold"), "cold.raw")
			},
			theirs: func() error { return b.mkosi("-f", "build") },
		},
		{
			name: "one file changed, new disk image", peer: "mkosi, incremental", must: "0.10",
			ours: func() error {
				round++
				if err := b.definition(fmt.Sprint("afloat ", round)); err != nil {
					return err
				}
				return b.build("x.raw")
			},
			theirs: func() error {
				if err := b.mkosiPage(fmt.Sprint("afloat ", round)); err != nil {
					return err
				}
				return b.mkosi("-f", "build")
			},
		},
	}
}
