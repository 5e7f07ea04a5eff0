package answer

import (
	"fmt"

	"slipway/internal/machine"
	"slipway/internal/target/cloud"
)

// nocloud is a seed as the target for stock images makes it, fetched instead of
// lying on a disk. Contents of secret files stand in the user data: cloud-init
// of most releases cannot fetch them.
func nocloud(d *machine.Definition, f Facts) ([]File, error) {
	r := &refusals{d: d, format: "cloud-config"}
	r.keys("init", "base", "packages", "files", "users", "services", "hostname", "timezone", "locale", "mounts", "network", "run", "disk", "boot", "kernel")
	r.cloud()
	for i, p := range d.Packages {
		if machine.IsLocalPackage(p) {
			r.at(fmt.Sprintf("packages.%d", i), p, "cloud-init cannot take a package of this host", "serve it from a repository")
		}
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	seed, err := cloud.NewSeed(d, cloud.Input{Hostname: hostname(d), Instance: or(f.Instance, "slipway-"+d.Name), MACs: f.MACs, Report: f.Report})
	if err != nil {
		return nil, err
	}
	return seedFiles(seed), nil
}

// seedFiles are the names that cloud-init asks for; meta-data must exist, and
// vendor-data is asked for too.
func seedFiles(s *cloud.Seed) []File {
	return []File{
		{Name: "user-data", Type: "text/cloud-config", Data: s.UserData, Secret: true},
		{Name: "meta-data", Type: "text/yaml", Data: s.MetaData},
		{Name: "network-config", Type: "text/yaml", Data: s.NetworkConfig},
		{Name: "vendor-data", Type: "text/cloud-config", Data: []byte("")},
	}
}

// cloud refuses what a stock image cannot be told.
func (r *refusals) cloud() {
	if len(r.d.Disk.Partitions) > 0 {
		r.unable("disk.partitions", "a stock image is laid out already")
	}
	for i, k := range r.d.Kernel {
		if k.Package != "auto" && k.Package != "" || k.File != "" || len(k.Cmdline)+len(k.Modules) > 0 {
			r.unable("kernel", fmt.Sprintf("a stock image brings its kernel (entry %d)", i))
		}
	}
	for i, f := range r.d.Files {
		if f.Folder() {
			r.at(fmt.Sprintf("files.%d.path", i), f.Path, r.format+" writes files, not folders", "name each file")
		}
	}
}
