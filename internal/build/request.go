package build

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"slipway/internal/distro"
	"slipway/internal/machine"
	"slipway/internal/plan"
)

// formatVersion enters every key: raise it when the same inputs would make
// other bytes than before.
const formatVersion = "2"

// digest hashes values by their JSON form, which is unambiguous.
func digest(values ...any) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	for _, v := range values {
		if err := enc.Encode(v); err != nil {
			panic(fmt.Sprintf("hashing a key: %v", err)) // plain data cannot fail to encode
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// requestDigest covers every key that chooses packages, and the content of
// local packages.
func requestDigest(d *machine.Definition, class plan.Class, implied []distro.Implied) (string, error) {
	local := map[string]string{}
	for _, name := range d.Packages {
		if isLocal(name) {
			sum, err := hashFile(name)
			if err != nil {
				return "", fmt.Errorf("reading local package %s: %w", name, err)
			}
			local[filepath.Base(name)] = sum
		}
	}
	packages := make([]string, len(d.Packages))
	for i, name := range d.Packages {
		packages[i] = name
		if isLocal(name) {
			packages[i] = filepath.Base(name)
		}
	}
	repositories := append([]machine.Repository(nil), d.Repositories...)
	for i, r := range repositories {
		if r.SignedBy == "" {
			continue
		}
		sum, err := hashFile(r.SignedBy)
		if err != nil {
			return "", fmt.Errorf("reading signed_by %s: %w", r.SignedBy, err)
		}
		repositories[i].SignedBy = sum
	}
	asked := []any{d.System, d.Arch, d.Base, packages, local, d.Recommends, repositories, d.Mirror.None, class, implied}
	if len(d.Components) > 0 { // locks of before there was the key stay valid
		asked = append(asked, d.Components)
	}
	if d.FromTarball() {
		sum := d.From.SHA256
		if sum == "" {
			var err error
			if sum, err = hashFile(d.From.File); err != nil {
				return "", fmt.Errorf("%s: from: %w", d.At("from"), err)
			}
		}
		asked = append(asked, "tarball", sum)
	}
	return digest(asked...), nil
}

func isLocal(name string) bool { return machine.IsLocalPackage(name) }

func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// contentDigest covers what the definition's keys put into the tree: the keys
// themselves and every file that they name.
func contentDigest(d *machine.Definition, class plan.Class) (string, error) {
	contents := map[string]string{}
	for i, f := range d.Files {
		if f.From == nil || f.From.File == "" {
			continue
		}
		sum, err := hashTree(f.From.File)
		if err != nil {
			return "", fmt.Errorf("reading %s for %s: %w", f.From.File, f.Path, err)
		}
		if strings.HasSuffix(f.Path, "/") { // a file keeps its name there
			sum += " " + filepath.Base(f.From.File)
		}
		contents[fmt.Sprintf("files.%d", i)] = sum // several may have one path
	}
	for _, u := range d.Users {
		for i, key := range u.SSHKeys {
			if !filepath.IsAbs(key) {
				continue
			}
			sum, err := hashFile(key)
			if err != nil {
				return "", fmt.Errorf("reading the ssh key of user %s: %w", u.Name, err)
			}
			contents[fmt.Sprintf("%s#%d", u.Name, i)] = sum
		}
	}
	return digest(filesForKey(d), usersForKey(d), d.Services, d.Hostname, d.Timezone, d.Locale, d.Sysctl,
		d.Mounts, d.Network, d.Slim, hookCommands(d.Run), hookCommands(d.Hooks.Customize), d.State, d.Init, choicesForKey(d, class), contents), nil
}

// choicesForKey covers who does the network, the resolver and the clock; the
// last is not started in a container.
func choicesForKey(d *machine.Definition, class plan.Class) []any {
	clock := d.ChosenTime()
	return []any{d.ChosenNetwork(), d.ChosenResolver(), clock, d.Time.Servers, clock != "" && class == plan.Container}
}

// filesForKey drops what is not content: host paths and positions.
func filesForKey(d *machine.Definition) []machine.File {
	out := append([]machine.File(nil), d.Files...)
	for i := range out {
		out[i].Pos = machine.Position{}
		if from := out[i].From; from != nil {
			out[i].From = &machine.From{URL: from.URL, SHA256: from.SHA256}
		}
		out[i].Secret = nil
	}
	return out
}

func usersForKey(d *machine.Definition) []machine.User {
	out := append([]machine.User(nil), d.Users...)
	for i := range out {
		out[i].Pos = machine.Position{}
		keys := make([]string, len(out[i].SSHKeys))
		for k, key := range out[i].SSHKeys {
			if !filepath.IsAbs(key) {
				keys[k] = key
			}
		}
		out[i].SSHKeys = keys
		out[i].Password = nil
	}
	return out
}

// hashTree digests a file, or a folder with names, links and contents, and who
// may execute what: other permissions of the host do not matter.
func hashTree(root string) (string, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			content, err = os.Readlink(path)
		case info.Mode().IsRegular():
			content, err = hashFile(path)
		}
		if err != nil {
			return err
		}
		runs := info.Mode().IsRegular() && info.Mode()&0o100 != 0
		_, err = fmt.Fprintf(h, "%q %v %v %q\n", rel, info.Mode().Type(), runs, content)
		return err
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
