package archive

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"slipway/internal/distro/apk/apkfile"
)

//go:embed keys/*.pub
var embedded embed.FS

// architectures is Alpine's name of each architecture and the keys that sign
// for it. A key of another architecture is not trusted.
var architectures = map[string]struct {
	name string
	keys []string
}{
	"amd64":   {"x86_64", []string{"4a6a0840", "5261cecb", "6165ee59"}},
	"arm64":   {"aarch64", []string{"58199dcc", "616ae350"}},
	"armhf":   {"armv7", []string{"524d27bb", "616adfeb"}},
	"armel":   {"armhf", []string{"524d27bb", "616a9724"}},
	"i386":    {"x86", []string{"4a6a0840", "5243ef4b", "61666e3f"}},
	"riscv64": {"riscv64", []string{"60ac2099", "616db30d"}},
	"ppc64el": {"ppc64le", []string{"58cbb476", "616abc23"}},
	"s390x":   {"s390x", []string{"58e4f17d", "616ac3bc"}},
}

// Arch is Alpine's name of an architecture that has Debian's name.
func Arch(debian string) (string, error) {
	a, ok := architectures[debian]
	if !ok {
		return "", fmt.Errorf("alpine has no architecture %q", debian)
	}
	return a.name, nil
}

// KeyPrefix begins the names of Alpine's keys.
const KeyPrefix = "alpine-devel@lists.alpinelinux.org-"

// DistributionKeys are the keys of Alpine's developers for an architecture.
func DistributionKeys(debianArch string) (apkfile.Keys, error) {
	keys := apkfile.Keys{}
	for _, id := range architectures[debianArch].keys {
		name := KeyPrefix + id + ".rsa.pub"
		data, err := embedded.ReadFile("keys/" + name)
		if err == nil {
			err = keys.AddPEM(name, data)
		}
		if err != nil {
			return nil, fmt.Errorf("reading the embedded key %s: %w", name, err)
		}
	}
	return keys, nil
}

// DistributionKeyFiles are the same as files: name to content.
func DistributionKeyFiles(debianArch string) map[string]string {
	out := map[string]string{}
	for _, id := range architectures[debianArch].keys {
		name := KeyPrefix + id + ".rsa.pub"
		if data, err := embedded.ReadFile("keys/" + name); err == nil {
			out[name] = string(data)
		}
	}
	return out
}

// maxKeyFile bounds a key file, in bytes.
const maxKeyFile = 64 << 10

// ReadKey reads a public key; signatures name it by its file's name.
func ReadKey(path string) (apkfile.Keys, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the repository's key: %w", err)
	}
	defer f.Close()
	data := make([]byte, maxKeyFile)
	n, err := f.Read(data)
	if err != nil {
		return nil, fmt.Errorf("reading the repository's key %s: %w", path, err)
	}
	keys := apkfile.Keys{}
	if err := keys.AddPEM(filepath.Base(path), data[:n]); err != nil {
		return nil, fmt.Errorf("reading the repository's key %s: %w; it must be an RSA public key as abuild-keygen writes it", path, err)
	}
	return keys, nil
}

// Known lists the architectures by Debian's names.
func Known() []string {
	out := make([]string, 0, len(architectures))
	for a := range architectures {
		out = append(out, a)
	}
	sort.Strings(out)
	return out
}
