package build

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"

	"slipway/internal/store"
)

// bootCache keeps parts of bootable machines in the store, each with the
// digest of its bytes. It is a boot.Cache: what fails here is made anew.
type bootCache struct{ store *store.Store }

// The files of a part.
const (
	cachedPart   = "part"
	cachedDigest = "part.sha256"
)

// Get implements boot.Cache. A damaged part is not there.
func (c bootCache) Get(key string) []byte {
	dir, ok := c.store.Image(key)
	if !ok {
		return nil
	}
	data, err := os.ReadFile(filepath.Join(dir, cachedPart))
	if err != nil {
		return nil
	}
	want, err := os.ReadFile(filepath.Join(dir, cachedDigest))
	if err != nil || string(want) != sum(data) {
		return nil
	}
	return data
}

// Put implements boot.Cache. Whoever comes second replaces the same bytes.
func (c bootCache) Put(key string, data []byte) {
	stage, err := c.store.TempDir("part")
	if err != nil {
		return
	}
	defer os.RemoveAll(stage) // gone after success
	for name, content := range map[string][]byte{cachedPart: data, cachedDigest: []byte(sum(data))} {
		if os.WriteFile(filepath.Join(stage, name), content, 0o600) != nil {
			return
		}
	}
	_ = c.store.CommitImage(key, stage) // a full disk shows itself where it matters
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
