package mkfs

import (
	"maps"
	"slices"
	"strconv"

	"slipway/internal/image"
	"slipway/internal/tree"
)

// filesystem is what the package knows of a kind.
type filesystem struct {
	name    string
	label   int      // bytes of the longest label
	least   int64    // bytes of the smallest volume that its mkfs makes
	program string   // of the tools tree
	modules []string // that the kernel needs; those that are part of it are left out
	// command is the program's arguments, without the device.
	command func(opt image.VolumeOptions) []string
	// need is what a tree takes, in bytes: surely as least, and with all that
	// the file system keeps for itself as natural.
	need func(u usage) (surely, natural int64)
}

var filesystems = map[string]*filesystem{"btrfs": btrfs, "xfs": xfs}

func sortedNames() []string { return slices.Sorted(maps.Keys(filesystems)) }

// The features are those that Linux 6.1 and GRUB 2.06 read, whatever mkfs has
// come to think of as usual.

var btrfs = &filesystem{
	name: "btrfs", label: 255, least: 128 << 20, program: "/usr/sbin/mkfs.btrfs",
	modules: []string{"btrfs"},
	command: func(opt image.VolumeOptions) []string {
		args := []string{"--quiet", "--force", "--nodiscard", "--csum", "crc32c", "--sectorsize", "4096", "--features",
			"extref,skinny-metadata,no-holes,free-space-tree,^block-group-tree", "--uuid", uuid(opt.UUID)}
		if opt.Label != "" {
			args = append(args, "--label", opt.Label)
		}
		return args
	},
	need: func(u usage) (int64, int64) {
		// Metadata is written twice, and trees are two thirds full. A data
		// chunk may have a tenth of the volume.
		data, meta := u.blocks+u.cksums, u.names*600+u.text+u.inline
		return data + 2*meta, (data+3*meta)*115/100 + 128<<20
	},
}

var xfs = &filesystem{
	name: "xfs", label: 12, least: 300 << 20, program: "/usr/sbin/mkfs.xfs",
	modules: []string{"xfs"},
	command: func(opt image.VolumeOptions) []string {
		args := []string{"-q", "-f", "-K", "-m", "crc=1,finobt=1,reflink=1,rmapbt=0,bigtime=0,inobtcount=0,uuid=" + uuid(opt.UUID),
			"-i", "sparse=1,nrext64=0,exchange=0", "-n", "parent=0"}
		if opt.Sector != 0 {
			args = append(args, "-s", "size="+strconv.Itoa(opt.Sector))
		}
		if opt.Label != "" {
			args = append(args, "-L", opt.Label)
		}
		return args
	},
	need: func(u usage) (int64, int64) {
		// The journal has 64 MiB; inodes have 512 bytes, and come in chunks.
		data, meta := u.blocks+u.small, u.names*512+u.text+u.folders*4096
		return data + meta, (data+meta*3/2)*106/100 + 128<<20
	},
}

// usage is what a tree is made of, in bytes or pieces.
type usage struct {
	blocks  int64 // contents, in blocks of 4096 bytes, but for small files
	small   int64 // contents of small files, in blocks
	inline  int64 // contents of small files, in bytes
	cksums  int64 // of blocks
	names   int64
	text    int64 // names, link targets and attributes, three times over
	folders int64
}

// inlined is the size up to which btrfs keeps contents among its metadata.
const inlined = 2048

func measure(m *tree.Manifest) (u usage) {
	const block = 4096
	for i := range m.Entries {
		e := &m.Entries[i]
		u.names++
		u.text += int64(3*len(e.Path) + len(e.Target))
		for k, v := range e.Xattrs {
			u.text += int64(len(k) + len(v))
		}
		switch {
		case e.Type == tree.Dir:
			u.folders++
		case e.Type != tree.File || e.Link != "":
		case e.Size > inlined:
			u.blocks += (e.Size + block - 1) / block * block
		case e.Size > 0:
			u.inline += e.Size
			u.small += block
		}
	}
	u.cksums = u.blocks / block * 4
	return u
}
