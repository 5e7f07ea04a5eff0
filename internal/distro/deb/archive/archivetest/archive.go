// Package archivetest makes small signed Debian archives for tests and serves
// them: packages built from Go literals, keys made on the spot, and faults on
// demand.
//
//	a := archivetest.New(t)
//	a.Add(archivetest.Deb{Name: "hello", Version: "1.0", Files: map[string]string{"/usr/share/hello": "hi\n"}})
//	config := archive.Config{
//		Release: a.Release, Arch: "amd64", CacheDir: t.TempDir(),
//		Mirrors: []archive.Mirror{{Main: a.Serve()}}, KeyFile: a.KeyFile(),
//	}
//
// It has the three suites of a real release: what is added goes to the base
// suite unless Deb.Suite says otherwise. It is for tests only.
package archivetest

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Archive is an archive under construction. Fields may be changed between
// calls of Publish; they are not safe for use while a request is served.
type Archive struct {
	Origin     string        // default: Debian; its lower case is the folder that is served
	Release    string        // code name: "trixie"
	Suite      string        // its suite name: "stable"
	Archs      []string      // default: amd64 and arm64
	Date       time.Time     // of the Release files; default: an hour ago
	ValidFor   time.Duration // after Date; 0: no Valid-Until
	Detached   bool          // Release and Release.gpg instead of InRelease
	NoByHash   bool          // no Acquire-By-Hash
	Suffixes   []string      // of Packages files; default: .xz and .gz
	Digests    string        // field of the Release file; default: SHA256
	Codename   string        // in the Release file; default: the suite's own
	Unsigned   bool          // neither InRelease nor Release.gpg
	SignedBy   *openpgp.Entity
	SignedToo  []*openpgp.Entity // further signatures
	Components []string          // declared
	OneBase    bool              // the security suite is beside the others
	InEach     bool              // each architecture's index is the only one that lists its arch:all packages
	Folder     string            // what is served; default: the origin in lower case

	t      testing.TB
	dir    string
	debs   []built
	server *server
}

// New makes an empty archive of the release "trixie".
func New(t testing.TB) *Archive {
	t.Helper()
	return &Archive{
		Origin: "Debian", Release: "trixie", Suite: "stable", Archs: []string{"amd64", "arm64"}, Date: time.Now().Add(-time.Hour).Truncate(time.Second),
		Suffixes: []string{".xz", ".gz"}, Digests: "SHA256", Components: []string{"main"}, SignedBy: NewKey(t), t: t, dir: t.TempDir(),
	}
}

// NewUbuntu makes an empty archive of the release "noble", laid out as
// Ubuntu's: all suites below one address, four components, one codename for
// all suites, no Valid-Until, and packages compressed by zstd unless they say
// otherwise.
func NewUbuntu(t testing.TB) *Archive {
	t.Helper()
	a := New(t)
	a.Origin, a.Release, a.Suite, a.Codename = "Ubuntu", "noble", "noble", "noble"
	a.Components = []string{"main", "restricted", "universe", "multiverse"}
	a.OneBase, a.InEach = true, true
	return a
}

// NewKey makes a signing key.
func NewKey(t testing.TB) *openpgp.Entity {
	t.Helper()
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return time.Now().Add(-10 * 365 * 24 * time.Hour) }}
	key, err := openpgp.NewEntity("Test Archive", "", "archive@example.org", config)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// KeyFile writes the archive's public key, ASCII-armored, and returns its path.
func (a *Archive) KeyFile() string {
	a.t.Helper()
	path := filepath.Join(a.dir, "archive-key.asc")
	a.write(path, PublicKey(a.t, a.SignedBy))
	return path
}

// PublicKey is a key's public half, ASCII-armored.
func PublicKey(t testing.TB, key *openpgp.Entity) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err == nil {
		err = key.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Dir is the folder that is served: it holds debian and debian-security, or
// what Origin and Folder make of these.
func (a *Archive) Dir() string { return filepath.Join(a.dir, "www") }

// Add builds packages into the archive. They are offered after the next
// Publish (or first Serve).
func (a *Archive) Add(debs ...Deb) {
	a.t.Helper()
	for _, d := range debs {
		if d.Compression == "" && a.Origin == "Ubuntu" {
			d.Compression = "zst"
		}
		d.defaults()
		a.add(d, d.control(), d.Build(a.t))
	}
}

// AddFile takes a package as it is: the bytes of a .deb and its control file.
// Of d, Name, Version, Architecture, Suite, Component and Listed count.
func (a *Archive) AddFile(d Deb, control string, data []byte) {
	a.t.Helper()
	d.defaults()
	a.add(d, control, data)
}

func (a *Archive) add(d Deb, control string, data []byte) {
	a.t.Helper()
	name := fmt.Sprintf("pool/%s/%s/%s/%s", d.Component, d.Name[:1], d.Name, d.FileName())
	a.write(filepath.Join(a.Dir(), a.root(d.Suite), name), data)
	sum := sha256.Sum256(data)
	a.debs = append(a.debs, built{deb: d, control: control, path: name, size: len(data), sha256: hex.EncodeToString(sum[:])})
}

// built is a package in the pool.
type built struct {
	deb     Deb
	control string
	path    string
	size    int
	sha256  string
}

// root is the archive that a suite lives in.
func (a *Archive) root(suite string) string {
	folder := a.Folder
	if folder == "" {
		folder = strings.ToLower(a.Origin)
	}
	if suite == "-security" && !a.OneBase {
		return folder + "-security"
	}
	return folder
}

// Publish writes and signs the indexes of all suites.
func (a *Archive) Publish() {
	a.t.Helper()
	for _, suffix := range []string{"", "-updates", "-security"} {
		a.publish(suffix)
	}
}

func (a *Archive) publish(suffix string) {
	suite := a.Release + suffix
	dir := filepath.Join(a.Dir(), a.root(suffix), "dists", suite)
	if err := os.RemoveAll(dir); err != nil {
		a.t.Fatal(err)
	}
	var lines []string
	for _, component := range a.Components {
		for _, arch := range a.Archs {
			lines = append(lines, a.packages(dir, suffix, path.Base(component), arch)...)
		}
	}
	sort.Strings(lines)
	a.sign(dir, a.releaseText(suffix, lines))
}

// packages writes the Packages files of one component and architecture and
// returns their lines in the Release file.
func (a *Archive) packages(dir, suffix, component, arch string) []string {
	var text bytes.Buffer
	for _, b := range a.debs {
		if b.deb.Suite != suffix || b.deb.Component != component || b.deb.Architecture != arch && b.deb.Architecture != "all" {
			continue
		}
		fmt.Fprintf(&text, "%s%sFilename: %s\nSize: %d\nSHA256: %s\n\n", b.control, b.deb.Listed, b.path, b.size, b.sha256)
	}
	folder := component + "/binary-" + arch
	lines := []string{digestLine(text.Bytes(), folder+"/Packages")}
	for _, s := range a.Suffixes {
		data := compress(a.t, s, text.Bytes())
		sum := sha256.Sum256(data)
		a.write(filepath.Join(dir, folder, "Packages"+s), data)
		if !a.NoByHash {
			a.write(filepath.Join(dir, folder, "by-hash/SHA256", hex.EncodeToString(sum[:])), data)
		}
		if s != "" {
			lines = append(lines, digestLine(data, folder+"/Packages"+s))
		}
	}
	return lines
}

func digestLine(data []byte, path string) string {
	return fmt.Sprintf(" %x %d %s", sha256.Sum256(data), len(data), path)
}

// compress makes the file for a suffix.
func compress(t testing.TB, suffix string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var err error
	switch suffix {
	case ".gz":
		w := gzip.NewWriter(&out)
		_, err = w.Write(data)
		w.Close()
	case ".xz":
		w, openErr := xz.WriterConfig{DictCap: 1 << 16}.NewWriter(&out)
		if openErr != nil {
			t.Fatal(openErr)
		}
		_, err = w.Write(data)
		w.Close()
	case ".zst":
		w, openErr := zstd.NewWriter(&out)
		if openErr != nil {
			t.Fatal(openErr)
		}
		_, err = w.Write(data)
		w.Close()
	default:
		return data
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// releaseText is the Release file of a suite.
func (a *Archive) releaseText(suffix string, lines []string) string {
	codename := a.Release + suffix
	if a.Codename != "" {
		codename = a.Codename
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Origin: %s\nLabel: %s\nSuite: %s\nCodename: %s\n", a.Origin, a.Origin, a.Suite+suffix, codename)
	fmt.Fprintf(&b, "Date: %s\n", a.Date.UTC().Format(time.RFC1123))
	if a.ValidFor > 0 {
		fmt.Fprintf(&b, "Valid-Until: %s\n", a.Date.Add(a.ValidFor).UTC().Format(time.RFC1123))
	}
	if !a.NoByHash {
		b.WriteString("Acquire-By-Hash: yes\n")
	}
	if a.InEach {
		fmt.Fprintf(&b, "Architectures: %s\n", strings.Join(a.Archs, " "))
	} else {
		fmt.Fprintf(&b, "No-Support-for-Architecture-all: Packages\nArchitectures: all %s\n", strings.Join(a.Archs, " "))
	}
	fmt.Fprintf(&b, "Components: %s\n", strings.Join(a.Components, " "))
	fmt.Fprintf(&b, "%s:\n%s\n", a.Digests, strings.Join(lines, "\n"))
	return b.String()
}

// sign writes InRelease, or Release and Release.gpg.
func (a *Archive) sign(dir, text string) {
	config := &packet.Config{DefaultHash: crypto.SHA256, Time: func() time.Time { return a.Date }}
	signers := append([]*openpgp.Entity{a.SignedBy}, a.SignedToo...)
	if a.Unsigned || a.Detached {
		a.write(filepath.Join(dir, "Release"), []byte(text))
	}
	if a.Unsigned {
		return
	}
	var out bytes.Buffer
	if a.Detached {
		if err := openpgp.ArmoredDetachSign(&out, a.SignedBy, strings.NewReader(text), config); err != nil {
			a.t.Fatal(err)
		}
		a.write(filepath.Join(dir, "Release.gpg"), out.Bytes())
		return
	}
	var keys []*packet.PrivateKey
	for _, s := range signers {
		keys = append(keys, s.PrivateKey)
	}
	w, err := clearsign.EncodeMulti(&out, keys, config)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	a.write(filepath.Join(dir, "InRelease"), append(out.Bytes(), '\n'))
}

func (a *Archive) write(path string, data []byte) {
	a.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		a.t.Fatal(err)
	}
}
