package apktest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/distro/apk/index"
)

// Key signs packages and indexes of a test.
type Key struct {
	Name    string // of its file
	Private *rsa.PrivateKey
	Hash    crypto.Hash // SHA-1 and SHA-256 are what abuild writes
}

// NewKey makes a key.
func NewKey(t testing.TB, name string) *Key {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &Key{name, k, crypto.SHA1}
}

// PEM is the public key as a file has it.
func (k *Key) PEM(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&k.Private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// sign is the signature stream over data.
func (k *Key) sign(t testing.TB, data []byte) []byte {
	t.Helper()
	h := k.Hash.New()
	h.Write(data)
	sig, err := rsa.SignPKCS1v15(rand.Reader, k.Private, k.Hash, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	kind := ".SIGN.RSA."
	if k.Hash == crypto.SHA256 {
		kind = ".SIGN.RSA256."
	}
	return segment(t, false, tar.Header{Name: kind + k.Name, Mode: 0o644, Typeflag: tar.TypeReg}, string(sig))
}

// segment is one gzip stream of a tar archive, with an end mark or without.
func segment(t testing.TB, end bool, entries ...any) []byte {
	t.Helper()
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for i := 0; i < len(entries); i += 2 {
		h, content := entries[i].(tar.Header), entries[i+1].(string)
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if end {
		plain.Write(make([]byte, 1024))
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(plain.Bytes())
	z.Close()
	return out.Bytes()
}

// Apk is a package to be made. Folders are made by themselves.
type Apk struct {
	Name, Version string
	Info          []string          // further lines of .PKGINFO
	Files         map[string]string // path: content; a content that begins with "-> " makes a link
	Scripts       map[string]string // "pre-install": text
	Raw           []tar.Header      // entries as they are, without content, after the files
	Data          []byte            // the data stream itself, instead
	DataHash      string            // instead of the right one
	Key           *Key              // nil: unsigned
}

// Bytes makes the package.
func (a Apk) Bytes(t testing.TB) []byte {
	t.Helper()
	data := a.Data
	if data == nil {
		data = a.data(t)
	}
	sum := sha256.Sum256(data)
	if a.DataHash == "" {
		a.DataHash = hex.EncodeToString(sum[:])
	}
	info := fmt.Sprintf("pkgname = %s\npkgver = %s\narch = noarch\nsize = 4096\nbuilddate = 1700000000\n%s\ndatahash = %s\n", a.Name, a.Version, strings.Join(a.Info, "\n"), a.DataHash)
	entries := []any{tar.Header{Name: ".PKGINFO", Mode: 0o644, Typeflag: tar.TypeReg}, info}
	for name, text := range a.Scripts {
		entries = append(entries, tar.Header{Name: "." + name, Mode: 0o755, Typeflag: tar.TypeReg}, text)
	}
	control := segment(t, false, entries...)
	out := append(append([]byte(nil), control...), data...)
	if a.Key != nil {
		out = append(a.Key.sign(t, control), out...)
	}
	return out
}

func (a Apk) data(t testing.TB) []byte {
	t.Helper()
	var entries []any
	made := map[string]bool{".": true}
	var folder func(dir string)
	folder = func(dir string) {
		if made[dir] {
			return
		}
		folder(filepath.Dir(dir))
		made[dir] = true
		entries = append(entries, tar.Header{Name: dir + "/", Mode: 0o755, Typeflag: tar.TypeDir}, "")
	}
	for name, content := range a.Files {
		folder(filepath.Dir(name))
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			entries = append(entries, tar.Header{Name: name, Linkname: target, Mode: 0o777, Typeflag: tar.TypeSymlink}, "")
			continue
		}
		sum := sha1.Sum([]byte(content))
		entries = append(entries, tar.Header{Name: name, Mode: 0o644, Typeflag: tar.TypeReg, Format: tar.FormatPAX,
			PAXRecords: map[string]string{"APK-TOOLS.checksum.SHA1": hex.EncodeToString(sum[:])}}, content)
	}
	for _, h := range a.Raw {
		entries = append(entries, h, "")
	}
	return segment(t, true, entries...)
}

// Entry is the index's block for the package.
func (a Apk) Entry(t testing.TB) string {
	t.Helper()
	data := a.Bytes(t)
	var p index.Package
	p.Name, p.Version, p.Arch, p.Size, p.InstalledSize, p.BuildTime = a.Name, a.Version, "x86_64", int64(len(data)), 4096, 1700000000
	sum := sha1.Sum(a.control(data))
	p.Identity = index.Identity(sum[:])
	for _, line := range a.Info {
		key, value, _ := strings.Cut(line, " = ")
		list, err := index.ParseDependencies(value)
		switch {
		case key == "depend" && err == nil:
			p.Depends = append(p.Depends, list...)
		case key == "provides" && err == nil:
			p.Provides = append(p.Provides, list...)
		case key == "install_if" && err == nil:
			p.InstallIf = append(p.InstallIf, list...)
		}
	}
	var b strings.Builder
	p.Header(&b)
	return b.String() + "\n"
}

// control finds the control stream of what Bytes made.
func (a Apk) control(data []byte) []byte {
	begins := [][]byte{}
	magic := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}
	for rest := data; ; {
		i := bytes.Index(rest, magic)
		if i < 0 {
			break
		}
		begins = append(begins, rest[i:])
		rest = rest[i+1:]
	}
	first := 0
	if a.Key != nil {
		first = 1
	}
	return begins[first][:len(begins[first])-len(begins[first+1])]
}

// Index makes an index file of entries.
func Index(t testing.TB, key *Key, text string) []byte {
	t.Helper()
	data := segment(t, true, tar.Header{Name: "DESCRIPTION", Mode: 0o644, Typeflag: tar.TypeReg}, "test",
		tar.Header{Name: "APKINDEX", Mode: 0o644, Typeflag: tar.TypeReg}, text)
	if key == nil {
		return data
	}
	return append(key.sign(t, data), data...)
}

// Repository writes packages and their index below dir and gives its address.
func Repository(t testing.TB, dir string, key *Key, packages ...Apk) string {
	t.Helper()
	folder := filepath.Join(dir, "x86_64")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, p := range packages {
		text += p.Entry(t)
		if err := os.WriteFile(filepath.Join(folder, p.Name+"-"+p.Version+".apk"), p.Bytes(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "APKINDEX.tar.gz"), Index(t, key, text), 0o644); err != nil {
		t.Fatal(err)
	}
	return "file://" + dir
}
