package install

import (
	"context"
	"fmt"
)

// InstallBase unpacks and configures the essential packages, as "dpkg --install
// --force-depends" of all of them in this order would. Their files may be in
// place already (Extract).
func (in *Installer) InstallBase(ctx context.Context, packages []Package) error {
	if !in.willHave(packages, "dpkg") {
		return ErrNoDpkg
	}
	if err := in.Unpack(ctx, packages); err != nil {
		return err
	}
	return in.dpkg(ctx, append([]string{"--force-depends", "--configure"}, keys(packages)...)...)
}

func (in *Installer) willHave(packages []Package, name string) bool {
	for _, p := range packages {
		if p.Name == name {
			return true
		}
	}
	return in.db.find(name, "") != nil
}

// Configure configures unpacked packages, triggers left for later, as apt
// does between two unpackings.
func (in *Installer) Configure(ctx context.Context, packages []Package) error {
	if len(packages) == 0 {
		return nil
	}
	return in.dpkg(ctx, append([]string{"--no-triggers", "--configure"}, keys(packages)...)...)
}

// ConfigurePending configures what is left and processes the triggers; apt's
// last call. Kernels come last, unless Options.KernelsInOrder.
func (in *Installer) ConfigurePending(ctx context.Context) error {
	if !in.opt.KernelsInOrder {
		if err := in.userlandFirst(ctx); err != nil {
			return err
		}
	}
	if err := in.dpkg(ctx, "--configure", "--pending"); err != nil {
		return err
	}
	return in.check()
}

// check wants every package installed.
func (in *Installer) check() error {
	for _, r := range in.db.records {
		if r.state != installed && r.state != configFiles && r.state != notInstalled {
			return fmt.Errorf("package %s is only %s, although dpkg reported success", r.name, r.state)
		}
	}
	return nil
}

// keys name packages for dpkg.
func keys(packages []Package) []string {
	all := make([]string, len(packages))
	for i, p := range packages {
		all[i] = p.Name + ":" + p.Arch
	}
	return all
}
