package boot

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slipway/internal/bootfiles/initramfs"
)

// Cache keeps what takes long to make: an initramfs, GRUB's image. A key is a
// hexadecimal SHA-256 over all that went in. Get gives nil for a key that is
// not there; what it gives was verified. Failures of a cache are not those of
// an assembly: it makes things anew.
type Cache interface {
	Get(key string) []byte
	Put(key string, data []byte)
}

// cacheVersion changes when the same inputs give other bytes.
const cacheVersion = "boot 1"

// cached makes something, or takes it from the cache. Without a digest of the
// inputs nothing is kept.
func (a *assembly) cached(inputs hash.Hash, build func() ([]byte, error)) ([]byte, error) {
	if a.Cache == nil || inputs == nil {
		return build()
	}
	key := hex.EncodeToString(inputs.Sum(nil))
	if data := a.Cache.Get(key); data != nil {
		return data, nil
	}
	data, err := build()
	if err == nil {
		a.Cache.Put(key, data)
	}
	return data, err
}

// initrdInputs covers what goes into an initramfs of ours; nil if that cannot
// be told because its modules are the host's.
func (a *assembly) initrdInputs(k *booted, opt initramfs.Options) hash.Hash {
	if k.host != nil && k.host.modules != nil {
		return nil
	}
	config, err := opt.Config.Encode()
	if err != nil {
		return nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "initramfs %s\n%x\n%q %q %q %q %v\n%s\n", cacheVersion, sha256.Sum256(opt.Helper),
		opt.Version, opt.Set, opt.Modules, opt.Optional, opt.Compress != nil && a.knowsZstd(k), config)
	for i := range a.Manifest.Entries {
		e := &a.Manifest.Entries[i]
		if goesIn(e.Path, opt.Version) {
			fmt.Fprintf(h, "%q %c %s %q %s\n", e.Path, e.Type, e.Digest, e.Target, e.Link)
		}
	}
	return h
}

// goesIn tells whether an initramfs may hold something of a path: modules,
// firmware, and a busybox, with the links that lead there.
func goesIn(name, version string) bool {
	rest := strings.TrimPrefix(name, "usr/")
	switch {
	case strings.HasPrefix(rest, "lib/modules/"):
		return strings.HasPrefix(rest, "lib/modules/"+version+"/")
	case strings.HasPrefix(rest, "lib/firmware/"):
		return true
	}
	return rest == "lib" || rest == "bin" || rest == "bin/busybox" || rest == "bin/busybox.static"
}

// grubInputs covers what GRUB's image is linked from.
func grubInputs(dir, platform, prefix, early string, names []string) hash.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "grub %s\n%q %q %q\n", cacheVersion, platform, prefix, early)
	files := []string{"kernel.img", "diskboot.img", "lzma_decompress.img", "moddep.lst"}
	all, err := closure(dir, names)
	if err != nil {
		return nil
	}
	for _, n := range all {
		files = append(files, n+".mod")
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, path.Base(f)))
		if err != nil && !os.IsNotExist(err) {
			return nil
		}
		fmt.Fprintf(h, "%q %x\n", f, sha256.Sum256(data))
	}
	return h
}
