// Package debtest makes small Debian packages for tests, byte for byte the
// same each time. It checks nothing, so that tests can make broken ones too.
package debtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Time is the mtime of everything that a Deb holds.
var Time = time.Unix(1700000000, 0)

// Deb describes a package.
type Deb struct {
	Name, Version, Arch string // Version "1.0" and Arch "all" by default
	Fields              string // further control fields, each line with its newline
	Members             map[string]string
	Entries             []Entry
	Compression         string // suffix: "" is ".xz"; "none" is no compression
}

// Entry is one entry of the data archive.
type Entry struct {
	Name     string // "./usr/bin/x"; a slash at the end makes a folder
	Data     string
	Mode     int64  // 0644 or 0755 by default
	Symlink  string // target
	Hardlink string
	User     string // name; "root" by default
	UID      int
	Type     byte // overrides the type that the other fields imply
}

// Build gives the package's bytes.
func (d Deb) Build() []byte {
	version, arch := d.Version, d.Arch
	if version == "" {
		version = "1.0"
	}
	if arch == "" {
		arch = "all"
	}
	control := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.org>\n%sDescription: a test\n with a second line\n",
		d.Name, version, arch, d.Fields)
	members := []Entry{{Name: "./"}, {Name: "./control", Data: control}}
	for _, name := range []string{"conffiles", "md5sums", "triggers", "templates", "shlibs"} {
		if data, ok := d.Members[name]; ok {
			members = append(members, Entry{Name: "./" + name, Data: data})
		}
	}
	for _, name := range []string{"preinst", "postinst", "config"} {
		if data, ok := d.Members[name]; ok {
			members = append(members, Entry{Name: "./" + name, Data: data, Mode: 0o755})
		}
	}
	suffix := d.Compression
	switch suffix {
	case "":
		suffix = ".xz"
	case "none":
		suffix = ""
	}
	return Ar(
		Member{"debian-binary", []byte("2.0\n")},
		Member{"control.tar" + suffix, Compress(suffix, Tar(members))},
		Member{"data.tar" + suffix, Compress(suffix, Tar(d.Entries))},
	)
}

// Tar makes a tar archive.
func Tar(entries []Entry) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.Name, Mode: e.Mode, ModTime: Time, Uname: e.User, Gname: e.User, Uid: e.UID, Gid: e.UID,
			Format: tar.FormatGNU, Typeflag: tar.TypeReg, Size: int64(len(e.Data))}
		if e.User == "" {
			h.Uname, h.Gname = "root", "root"
		}
		switch {
		case e.Symlink != "":
			h.Typeflag, h.Linkname, h.Mode, h.Size = tar.TypeSymlink, e.Symlink, 0o777, 0
		case e.Hardlink != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeLink, e.Hardlink, 0
		case strings.HasSuffix(e.Name, "/"):
			h.Typeflag = tar.TypeDir
			if h.Mode == 0 {
				h.Mode = 0o755
			}
		}
		if e.Type != 0 {
			h.Typeflag = e.Type
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		if h.Size > 0 {
			io.WriteString(w, e.Data)
		}
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Member is one member of an ar archive.
type Member struct {
	Name string
	Data []byte
}

// Ar makes an ar archive as deb(5) wants it.
func Ar(members ...Member) []byte {
	b := bytes.NewBufferString("!<arch>\n")
	for _, m := range members {
		fmt.Fprintf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.Name, Time.Unix(), 0, 0, "100644", len(m.Data))
		b.Write(m.Data)
		if len(m.Data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// Compress compresses by the suffix of a member's name.
func Compress(suffix string, data []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch suffix {
	case "":
		return data
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b, zstd.WithEncoderConcurrency(1))
	default:
		panic("no compressor for " + suffix)
	}
	if err != nil {
		panic(err)
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}
