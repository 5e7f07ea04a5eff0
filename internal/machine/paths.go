package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// resolve makes the host path in n absolute: it starts from the folder of the
// file that names it, on the command line from the working folder. What is no
// path (a package name, a literal key) stays as it is. Neither ~ nor
// variables of the environment are expanded.
func (d *decoder) resolve(n *node, class string) string {
	if !isHostPath(n.text, class) || filepath.IsAbs(n.text) {
		return n.text
	}
	abs := filepath.Join(d.base(n.pos.File), n.text)
	if strings.HasSuffix(n.text, "/") {
		abs += "/"
	}
	d.relative[abs] = n.text
	return abs
}

// isHostPath tells whether a text of a field of that class is a path.
func isHostPath(text, class string) bool {
	switch class {
	case "host":
		return text != ""
	case "deb":
		return IsLocalPackage(text)
	case "key":
		return !IsLiteralKey(text)
	}
	return false
}

// IsLocalPackage tells whether an entry of packages is the path of a file.
func IsLocalPackage(entry string) bool {
	return strings.HasPrefix(entry, "./") || strings.HasPrefix(entry, "../") || strings.HasPrefix(entry, "/")
}

// IsLiteralKey tells whether an entry of ssh_keys is a public key itself, as
// opposed to the path of a file.
func IsLiteralKey(entry string) bool {
	for _, kind := range []string{"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"} {
		if at := strings.Index(entry, kind); at >= 0 && strings.Contains(entry[at:], " AAAA") {
			return true
		}
	}
	return false
}

// hostPaths lists the files of the host that the definition refers to, with
// the dotted path of the key that names each. Secrets are left out unless
// asked for: they may exist only where the machine is built.
func (d *Definition) hostPaths(secrets bool) map[string]string {
	out := map[string]string{}
	put := func(path, format string, args ...any) {
		if path != "" {
			out[fmt.Sprintf(format, args...)] = path
		}
	}
	for i, p := range d.Packages {
		if IsLocalPackage(p) {
			put(p, "packages.%d", i)
		}
	}
	for i, r := range d.Repositories {
		put(r.SignedBy, "repositories.%d.signed_by", i)
	}
	for i, f := range d.Files {
		if f.From != nil {
			put(f.From.File, "files.%d.from", i)
		}
		if secrets && f.Secret != nil {
			put(f.Secret.File, "files.%d.secret.file", i)
		}
	}
	for i, u := range d.Users {
		for j, k := range u.SSHKeys {
			if !IsLiteralKey(k) {
				put(k, "users.%d.ssh_keys.%d", i, j)
			}
		}
		if secrets && u.Password != nil {
			put(u.Password.HashFile, "users.%d.password.hash_file", i)
		}
	}
	if d.FromTarball() {
		put(d.From.File, "from")
	}
	for i, b := range d.Container.Binds {
		put(b.Host, "container.binds.%d", i)
	}
	d.probePaths(put, secrets)
	return out
}

func (d *Definition) probePaths(put func(path, format string, args ...any), secrets bool) {
	for i, p := range d.Probes {
		if p.TLS != nil {
			put(p.TLS.CA, "probes.%d.tls.ca", i)
		}
		if secrets && p.SSH != nil {
			put(p.SSH.Key, "probes.%d.ssh.key", i)
		}
		if secrets && p.Login != nil && p.Login.Password != nil {
			put(p.Login.Password.File, "probes.%d.login.password.file", i)
		}
	}
}

// CheckFiles looks whether the files of the host that the definition refers to
// are there and readable; with secrets, also those that hold secrets. The
// error is of type Problems. Whoever reads a file later must still expect that
// it is gone.
func (d *Definition) CheckFiles(secrets bool) error {
	c := newCollector()
	paths := d.hostPaths(secrets)
	keys := make([]string, 0, len(paths))
	for key := range paths {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		_, err := os.Stat(paths[key])
		if err == nil {
			continue
		}
		var cause *fs.PathError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		written := paths[key]
		if short, ok := d.relative[written]; ok {
			written = short
		}
		c.add(Problem{Pos: d.At(key), Key: key, Text: written,
			Message: fmt.Sprintf("%s names %s: %v", key, quote(written), err),
			Hint:    "paths start from the folder of the file that names them (here " + filepath.Dir(filepath.Clean(paths[key])) + ")"})
	}
	return c.sorted().Err()
}

// At returns where the value with a dotted path ("users.0.name") was given. An
// unknown path answers with the place of the nearest value that holds it.
func (d *Definition) At(key string) Position {
	for key != "" {
		if p, ok := d.positions[key]; ok {
			return p
		}
		key = key[:max(0, strings.LastIndexByte(key, '.'))]
	}
	return Position{File: d.File, Line: 1, Column: 1}
}
