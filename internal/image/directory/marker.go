package directory

import (
	"encoding/json"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"slipway/internal/image"
)

// Marker is the name of the file beside a folder that says slipway wrote it.
func Marker(path string) string { return filepath.Clean(path) + ".slipway.json" }

// marker names folders by what a rename does not change. The birth of an
// inode is not compared: not every filesystem has it.
type marker struct {
	Slipway string     `json:"slipway"`
	Folders []identity `json:"folders"`
}

type identity struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

func identify(path string) (identity, error) {
	var st unix.Stat_t
	err := unix.Lstat(path, &st)
	return identity{uint64(st.Dev), st.Ino}, err
}

// mark writes the marker of path, naming some folders; what is not there, is
// not named. A folder that slipway did not write is never named: it was empty,
// or we would not be here.
func mark(path string, folders ...string) error {
	m := marker{Slipway: "folder"}
	for _, f := range folders {
		if id, err := identify(f); err == nil {
			m.Folders = append(m.Folders, id)
		}
	}
	b, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return image.ReplaceFile(Marker(path), append(b, '\n'))
}

func wroteIt(path string) bool {
	b, err := os.ReadFile(Marker(path))
	var m marker
	if err != nil || json.Unmarshal(b, &m) != nil {
		return false
	}
	id, err := identify(path)
	for _, f := range m.Folders {
		if err == nil && f == id {
			return true
		}
	}
	return false
}
