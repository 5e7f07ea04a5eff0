package install

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/store"
)

// job is one package being installed.
type job struct {
	in     *Installer
	p      Package
	pack   *store.Pack
	rec    *record
	owners map[int][2]string // user and group of entries that are not root's
	sums   map[int]string    // Q1..., by entry
}

// Install installs packages in the given order, each with its scripts. Their
// dependencies are the caller's affair.
func (in *Installer) Install(ctx context.Context, packages []Package) error {
	for _, p := range packages {
		if err := ctx.Err(); err != nil {
			return err
		}
		in.opt.Step("installing " + p.Name)
		if err := in.install(ctx, p); err != nil {
			return fmt.Errorf("installing %s-%s: %w", p.Name, p.Version, err)
		}
	}
	return nil
}

func (in *Installer) install(ctx context.Context, p Package) error {
	if old := in.db.find(p.Name); old != nil {
		return fmt.Errorf("%s is already installed in this tree; upgrading is not yet possible", old.ID())
	}
	pack, err := in.opt.Open(ctx, p.SHA256)
	if err != nil {
		return err
	}
	defer pack.Close()
	j := &job{in: in, p: p, pack: pack}
	if err := j.read(); err != nil {
		return err
	}
	in.db.packages = append(in.db.packages, j.rec)
	if j.rec.InstalledSize == 0 {
		return nil // apk does not open what has no size: it only stands for its dependencies
	}
	if len(j.rec.triggers) > 0 {
		in.db.triggers = append(in.db.triggers, j.rec)
	}
	if err := in.script(ctx, j.rec, "pre-install", p.Version); err != nil {
		return err
	}
	if err := j.files(); err != nil {
		return err
	}
	return in.script(ctx, j.rec, "post-install", p.Version)
}

// read takes what the package says of itself; architecture and size are the
// index's word, as apk records them.
func (j *job) read() error {
	text, _ := j.pack.ControlData(apkfile.InfoMember)
	info, err := apkfile.ParseInfo(text)
	if err != nil {
		return err
	}
	if info.Name != j.p.Name || info.Version != j.p.Version {
		return fmt.Errorf("pack %.12s holds %s, want %s-%s", j.p.SHA256, info.ID(), j.p.Name, j.p.Version)
	}
	j.rec = &record{Package: &info.Package, tag: j.p.Tag, scripts: map[string][]byte{}, fresh: true}
	identity, _ := j.pack.ControlData(apkfile.IdentityMember)
	j.rec.Identity, j.rec.Size, j.rec.Arch = string(identity), j.p.Size, j.p.Arch
	if j.rec.InstalledSize > 0 {
		j.rec.replaces, j.rec.replacesPriority, j.rec.triggers = info.Replaces, info.ReplacesPriority, info.Triggers
		for _, kind := range apkfile.Scripts {
			if data, ok := j.pack.ControlData(kind); ok {
				j.rec.scripts[kind] = data
			}
		}
	}
	return j.readMembers()
}

func (j *job) readMembers() error {
	j.owners, j.sums = map[int][2]string{}, map[int]string{}
	owners, _ := j.pack.ControlData(apkfile.OwnersMember)
	err := eachLine(owners, 3, func(i int, f []string) error {
		j.owners[i] = [2]string{f[1], f[2]}
		return nil
	})
	if err != nil {
		return err
	}
	sums, _ := j.pack.ControlData(apkfile.SumsMember)
	return eachLine(sums, 2, func(i int, f []string) error {
		raw, err := hex.DecodeString(f[1])
		j.sums[i] = "Q1" + base64.StdEncoding.EncodeToString(raw)
		return err
	})
}

// eachLine reads lines of n fields between tabs, the first a number.
func eachLine(data []byte, n int, do func(i int, fields []string) error) error {
	for line := range bytes.Lines(data) {
		f := strings.Split(strings.TrimSuffix(string(line), "\n"), "\t")
		if len(f) != n {
			return fmt.Errorf("line %.80q of the pack", line)
		}
		i, err := strconv.Atoi(f[0])
		if err == nil {
			err = do(i, f)
		}
		if err != nil {
			return fmt.Errorf("line %.80q of the pack: %w", line, err)
		}
	}
	return nil
}
