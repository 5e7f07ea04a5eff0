package answer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"slipway/internal/machine"
)

// alpine renders for a diskless Alpine that installs itself: an overlay whose
// only service runs setup-alpine with an answer file, then setup.sh in the
// installed system, and reboots.
func alpine(d *machine.Definition, f Facts) ([]File, error) {
	a := &alp{refusals: refusals{d: d, format: "setup-alpine"}, f: f}
	a.keys("init", "packages", "repositories", "files", "users", "services", "hostname", "timezone", "sysctl", "mounts", "network", "run",
		"kernel", "disk", "boot")
	if d.Distribution() != "alpine" {
		a.at("system", d.System, "setup-alpine installs alpine", "choose another kind of installer")
	}
	if f.Base == "" {
		return nil, fmt.Errorf("rendering Alpine's answers for %s: its scripts are fetched, and no base address is known", d.Name)
	}
	a.boot()
	answers := a.answers()
	s := newSetup(d)
	s.shell = "/bin/ash"
	s.line("apk add --quiet shadow")
	for _, part := range []func(){func() { s.accounts(nil) }, func() { s.keys(nil) }, s.sudo, s.files, s.kernel, s.services, s.run} {
		part()
	}
	secrets := secretFiles(s)
	install := a.install(secrets)
	if err := errors.Join(errors.Join(s.errs...), a.refusals.err()); err != nil {
		return nil, err
	}
	overlay, err := overlay(hostname(d), []byte(install))
	if err != nil {
		return nil, err
	}
	return append([]File{
		{Name: Alpine.Name(), Type: "application/gzip", Data: overlay},
		{Name: "answers", Type: "text/plain", Data: []byte(answers)},
		{Name: "setup.sh", Type: "text/x-shellscript", Data: []byte(s.out.String()), Secret: true},
	}, secrets...), nil
}

type alp struct {
	refusals
	f Facts
}

// alpineMain is the address of Alpine's main repository.
func alpineMain(d *machine.Definition, f Facts) string { return alpineBase(d, f) + "/main" }

func alpineBase(d *machine.Definition, f Facts) string {
	release := d.Release()
	if release != "edge" {
		release = "v" + release
	}
	return strings.TrimSuffix(or(f.Mirror, or(d.Mirror.Main, "https://dl-cdn.alpinelinux.org/alpine")), "/") + "/" + release
}

// answers is the file that setup-alpine reads: variables of a shell.
func (a *alp) answers() string {
	var b strings.Builder
	say := func(name, value string) { fmt.Fprintf(&b, "%s=%s\n", name, quote(value)) }
	layout := or(a.f.Keyboard, "us")
	say("KEYMAPOPTS", layout+" "+layout)
	say("HOSTNAMEOPTS", hostname(a.d))
	say("DEVDOPTS", "mdev")
	say("INTERFACESOPTS", a.interfaces())
	say("TIMEZONEOPTS", or(a.d.Timezone, "UTC"))
	say("PROXYOPTS", "none")
	say("APKREPOSOPTS", strings.Join(a.repositories(), " "))
	say("USEROPTS", "none")
	say("SSHDOPTS", map[bool]string{true: "openssh", false: "none"}[letsIn(a.d)])
	say("NTPOPTS", "busybox")
	say("LBUOPTS", "none")
	say("APKCACHEOPTS", "none")
	return b.String()
}

func (a *alp) repositories() []string {
	base := alpineBase(a.d, a.f)
	out := []string{base + "/main", base + "/community"}
	for i, r := range a.d.Repositories {
		if r.SignedBy != "" {
			a.unable(fmt.Sprintf("repositories.%d.signed_by", i), "put the key below /etc/apk/keys with files")
		}
		out = append(out, r.URL)
	}
	return out
}

// interfaces is interfaces(5); Alpine's own ifupdown takes it as Debian's does.
// What it has no words for, the definition's own check has refused.
func (a *alp) interfaces() string {
	if _, given := a.d.Set["network"]; !given {
		return "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n"
	}
	var b strings.Builder
	b.WriteString("auto lo\niface lo inet loopback\n")
	for _, n := range a.d.Network {
		for _, name := range strings.Fields(n.Match) {
			b.WriteString("\n" + stanzas(name, n))
		}
	}
	return b.String()
}

// install is the service of the overlay. setup-disk lays the disk out by itself:
// what a definition says of partitions must be what it does.
func (a *alp) install(secrets []File) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("#!/bin/sh\nrc-service networking status >/dev/null || rc-service networking start")
	line("%s", report(a.f, wgetGet, "installer", "setup-alpine"))
	line("fail() {\n\t%s\n\techo \"slipway: $why\" >/dev/console\n\texit 1\n}", reportWhy(a.f, wgetGet))
	b.WriteString(findDisk(a.f))
	line("wget -q -O /tmp/answers %s || { why='no answers'; fail; }", quote(a.f.Base+"answers"))
	line("echo \"DISKOPTS='-m sys $disk'\" >>/tmp/answers")
	environment := a.environment()
	line("export ERASE_DISKS=\"$disk\" %s", environment)
	line("setup-alpine -e -f /tmp/answers || { why='setup-alpine failed'; fail; }")
	line("root=$(blkid -L root || findfs LABEL=root || ls \"$disk\"*3 \"$disk\"*2 2>/dev/null | head -n 1)")
	line("mount \"$root\" /mnt && mount -t proc proc /mnt/proc && mount --rbind /dev /mnt/dev || { why='no installed system'; fail; }")
	line("cp /etc/resolv.conf /mnt/etc/ 2>/dev/null; cp /etc/apk/repositories /mnt/etc/apk/")
	if len(secrets) > 0 {
		line("umask 077; mkdir -p /mnt%s", secretDir)
	}
	for _, f := range secrets {
		line("wget -q -O /mnt%s/%s %s || { why='no secret'; fail; }", secretDir, path.Base(f.Name), quote(a.f.Base+f.Name))
	}
	if names := a.packages(); len(names) > 0 {
		line("chroot /mnt apk add %s || { why='packages'; fail; }", strings.Join(names, " "))
	}
	line("wget -q -O /mnt/root/slipway-setup %s && chroot /mnt sh /root/slipway-setup || { why='the installed system could not be finished'; fail; }", quote(a.f.Base+"setup.sh"))
	line("rm -f /mnt/root/slipway-setup\n%s\nreboot", report(a.f, wgetGet, "installed", a.d.Name))
	return b.String()
}

func (a *alp) packages() []string {
	var out []string
	for i, p := range a.d.Packages {
		if machine.IsLocalPackage(p) || strings.Contains(p, "/") {
			a.at(fmt.Sprintf("packages.%d", i), p, "an installer takes a name, or name=version", "serve it from a repository")
			continue
		}
		out = append(out, quote(p))
	}
	for _, u := range a.d.Users {
		if u.Sudo != "" && !slices.Contains(out, "sudo") {
			out = append(out, "sudo")
		}
	}
	return out
}

// environment is what setup-disk reads beside its options.
func (a *alp) environment() string {
	words := []string{}
	swap := int64(0)
	for i, p := range a.d.Disk.Partitions {
		key := fmt.Sprintf("disk.partitions.%d", i)
		switch p.Use {
		case "root":
			if p.Filesystem != "" && p.Filesystem != "ext4" && p.Filesystem != "xfs" && p.Filesystem != "btrfs" {
				a.at(key+".filesystem", p.Filesystem, "setup-disk makes no such root", "choose ext4, xfs or btrfs")
			}
			words = append(words, "ROOTFS="+or(p.Filesystem, "ext4"))
			if p.Size != 0 {
				a.unable(key+".size", "its root takes what is left: write grow: true")
			}
		case "swap":
			swap += mib(p.Size)
		case "boot":
			words = append(words, fmt.Sprintf("BOOT_SIZE=%d", orSize(mib(p.Size), 300)))
		case "esp", "bios":
		default:
			a.at(key+".use", p.Use, "setup-disk makes boot, swap and root alone", "make it in run")
		}
		if p.Label != "" || p.Name != "" || p.Options != "" || p.Type != "" || len(p.Subvolumes) > 0 {
			a.unable(key, "setup-disk chooses labels and options itself")
		}
	}
	words = append(words, fmt.Sprintf("SWAP_SIZE=%d", swap))
	if t := a.d.Layout().Table; t == "msdos" {
		words = append(words, "DISKLABEL=dos")
	} else if t == "gpt" {
		words = append(words, "DISKLABEL=gpt", "USE_EFI="+map[bool]string{true: "1", false: ""}[!a.d.Boots("bios")])
	} else {
		a.at("disk.table", t, "setup-disk cannot make such a table", "write gpt or msdos")
	}
	if k := kernelWords(a.d); len(k) > 0 {
		words = append(words, "KERNELOPTS="+quote(strings.Join(k, " ")))
	}
	return strings.Join(words, " ")
}

// overlay is an apkovl: etc/ of the diskless system, with one script that
// OpenRC's service local runs.
func overlay(host string, install []byte) ([]byte, error) {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	w := tar.NewWriter(z)
	old := time.Unix(0, 0)
	add := func(h tar.Header, data []byte) error {
		h.Size, h.ModTime, h.Format = int64(len(data)), old, tar.FormatUSTAR
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(data)
		return err
	}
	var errs []error
	for _, dir := range []string{"etc/", "etc/local.d/", "etc/runlevels/", "etc/runlevels/default/", "etc/network/"} {
		errs = append(errs, add(tar.Header{Name: dir, Typeflag: tar.TypeDir, Mode: 0o755}, nil))
	}
	interfaces := "auto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n"
	errs = append(errs,
		add(tar.Header{Name: "etc/hostname", Typeflag: tar.TypeReg, Mode: 0o644}, []byte(host+"\n")),
		add(tar.Header{Name: "etc/network/interfaces", Typeflag: tar.TypeReg, Mode: 0o644}, []byte(interfaces)),
		add(tar.Header{Name: "etc/.default_boot_services", Typeflag: tar.TypeReg, Mode: 0o644}, nil),
		add(tar.Header{Name: "etc/local.d/slipway.start", Typeflag: tar.TypeReg, Mode: 0o755}, install),
		add(tar.Header{Name: "etc/runlevels/default/local", Typeflag: tar.TypeSymlink, Linkname: "/etc/init.d/local", Mode: 0o777}, nil),
		w.Close(), z.Close())
	return out.Bytes(), errors.Join(errs...)
}
