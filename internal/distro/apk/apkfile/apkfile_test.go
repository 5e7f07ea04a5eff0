package apkfile_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/distro/apk/apkfile"
	"slipway/internal/distro/apk/apktest"
	"slipway/internal/tree"
)

// box keeps what a package holds.
type box struct {
	entries []tree.Entry
	control map[string]string
	bytes   int64
}

func (b *box) Add(e tree.Entry, content io.Reader) error {
	b.entries = append(b.entries, e)
	if content == nil {
		return nil
	}
	n, err := io.Copy(io.Discard, content)
	b.bytes += n
	return err
}

func (b *box) AddControl(name string, _ uint32, _ int64, data []byte) { b.control[name] = string(data) }

func unpack(data []byte, want apkfile.Want, limits apkfile.Limits) (*box, error) {
	b := &box{control: map[string]string{}}
	return b, apkfile.Unpack(context.Background(), "x", bytes.NewReader(data), int64(len(data)), want, b, limits)
}

func TestUnpack(t *testing.T) {
	a := apktest.Apk{Name: "x", Version: "1-r0", Files: map[string]string{"etc/x.conf": "a=1\n", "usr/bin/x": "-> ../y"},
		Scripts: map[string]string{"post-install": "#!/bin/sh\n"}, Key: apktest.NewKey(t, "k.rsa.pub")}
	b, err := unpack(a.Bytes(t), apkfile.Want{Name: "x", Version: "1-r0"}, apkfile.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.entries) != 5 || b.bytes != 4 || b.control["post-install"] == "" || !strings.HasPrefix(b.control[apkfile.IdentityMember], "Q1") {
		t.Errorf("got %+v", b)
	}
}

// Every hostile package is refused for its own reason.
func TestHostile(t *testing.T) {
	file := map[string]string{"etc/x": "x"}
	good := apktest.Apk{Name: "x", Version: "1-r0", Files: file}.Bytes(t)
	raw := func(h tar.Header) []byte {
		return apktest.Apk{Name: "x", Version: "1-r0", Files: file, Raw: []tar.Header{h}}.Bytes(t)
	}
	info := func(lines ...string) []byte {
		return apktest.Apk{Name: "x", Version: "1-r0", Files: file, Info: lines}.Bytes(t)
	}
	for name, c := range map[string]struct {
		data []byte
		want error
		text string
	}{
		"empty":             {nil, io.ErrUnexpectedEOF, "ends"},
		"noise":             {[]byte("this is no package at all, but it is long enough"), apkfile.ErrFormat, "gzip"},
		"format 3":          {[]byte("ADBd0000000000000"), apkfile.ErrFormat, "format 3"},
		"truncated":         {good[:len(good)-40], nil, "data"},
		"control only":      {good[:200], nil, ""},
		"other data":        {apktest.Apk{Name: "x", Version: "1-r0", Files: file, DataHash: strings.Repeat("ab", 32)}.Bytes(t), apkfile.ErrMismatch, "SHA-256"},
		"short hash":        {apktest.Apk{Name: "x", Version: "1-r0", Files: file, DataHash: "abcd"}.Bytes(t), apkfile.ErrFormat, "datahash"},
		"name of a path":    {apktest.Apk{Name: "../x", Version: "1-r0", Files: file}.Bytes(t), apkfile.ErrFormat, "names the package"},
		"version of a path": {apktest.Apk{Name: "x", Version: "1/../..", Files: file}.Bytes(t), apkfile.ErrFormat, "version"},
		"absurd size":       {info("size = 99999999999999999999999"), apkfile.ErrFormat, "number"},
		"bad dependency":    {info("depend = x>"), nil, "no version"},
		"escape":            {raw(tar.Header{Name: "etc/../../x", Typeflag: tar.TypeReg}), apkfile.ErrFormat, "leaves the root"},
		"absolute":          {raw(tar.Header{Name: "/etc/y", Typeflag: tar.TypeReg}), apkfile.ErrFormat, "name"},
		"line break":        {raw(tar.Header{Name: "etc/a\nF:b", Typeflag: tar.TypeReg}), apkfile.ErrFormat, "name"},
		"no folder":         {raw(tar.Header{Name: "opt/y", Typeflag: tar.TypeReg}), apkfile.ErrFormat, "without its folder"},
		"link to nothing":   {raw(tar.Header{Name: "etc/y", Typeflag: tar.TypeLink, Linkname: "etc/z"}), apkfile.ErrFormat, "no file before it"},
		"hard link outside": {raw(tar.Header{Name: "etc/y", Typeflag: tar.TypeLink, Linkname: "../../etc/shadow"}), apkfile.ErrFormat, "leaves the root"},
		"long link":         {raw(tar.Header{Name: "etc/y", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("x/", 4000)}), apkfile.ErrFormat, "symbolic link"},
		"long name":         {raw(tar.Header{Name: "etc/" + strings.Repeat("y", 300), Typeflag: tar.TypeReg}), apkfile.ErrFormat, "300 bytes"},
		"absurd owner":      {raw(tar.Header{Name: "etc/y", Typeflag: tar.TypeDir, Uid: 1<<32 - 1}), apkfile.ErrFormat, "owned by"},
		"owner of lines":    {raw(tar.Header{Name: "etc/y", Typeflag: tar.TypeDir, Uname: "a\nM:0:0:777"}), apkfile.ErrFormat, "owned by"},
		"another type":      {raw(tar.Header{Name: "etc/y", Typeflag: tar.TypeCont}), apkfile.ErrFormat, "type"},
		"root is a link":    {raw(tar.Header{Name: "./", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}), apkfile.ErrFormat, "root is no directory"},
		"bad checksum":      {raw(tar.Header{Name: "etc/y", Typeflag: tar.TypeReg, Format: tar.FormatPAX, PAXRecords: map[string]string{"APK-TOOLS.checksum.SHA1": "zz"}}), apkfile.ErrFormat, "checksum"},
		"negative size":     {info("size = -1"), apkfile.ErrFormat, "number"},
		"absurd priority":   {info("replaces_priority = 70000"), apkfile.ErrFormat, "number"},
		"two data streams":  {append(append([]byte(nil), good...), good...), apkfile.ErrMismatch, "SHA-256"},
		"noise at the end":  {append(append([]byte(nil), good...), "noise"...), nil, ""},
		"wrong sum": {raw(tar.Header{Name: "etc/y", Typeflag: tar.TypeReg, Format: tar.FormatPAX,
			PAXRecords: map[string]string{"APK-TOOLS.checksum.SHA1": strings.Repeat("00", 20)}}), apkfile.ErrMismatch, "SHA-1"},
		"another": {apktest.Apk{Name: "y", Version: "1-r0", Files: file}.Bytes(t), apkfile.ErrMismatch, "name"},
	} {
		_, err := unpack(c.data, apkfile.Want{Name: "x", Version: "1-r0"}, apkfile.Limits{})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %v with %q", name, err, c.want, c.text)
		}
	}
}

func TestBomb(t *testing.T) {
	data := apktest.Apk{Name: "x", Version: "1-r0", Files: map[string]string{"zeros": string(make([]byte, 80<<20))}}.Bytes(t)
	_, err := unpack(data, apkfile.Want{}, apkfile.Limits{Ratio: 10})
	if !errors.Is(err, apkfile.ErrLimit) {
		t.Errorf("a bomb gave %v", err)
	}
	_, err = unpack(data, apkfile.Want{}, apkfile.Limits{Total: 1 << 20})
	if !errors.Is(err, apkfile.ErrLimit) {
		t.Errorf("a large file gave %v", err)
	}
	_, err = unpack(data, apkfile.Want{}, apkfile.Limits{Control: 100})
	if !errors.Is(err, apkfile.ErrLimit) {
		t.Errorf("a large control gave %v", err)
	}
}

// A package with absurdly many entries, or members of its control, ends early.
func TestTooMany(t *testing.T) {
	a := apktest.Apk{Name: "x", Version: "1-r0", Files: map[string]string{}}
	for i := range 200 {
		a.Files[fmt.Sprintf("f%d", i)] = ""
	}
	if _, err := unpack(a.Bytes(t), apkfile.Want{}, apkfile.Limits{Entries: 100}); !errors.Is(err, apkfile.ErrLimit) {
		t.Errorf("200 entries gave %v", err)
	}
	a = apktest.Apk{Name: "x", Version: "1-r0", Scripts: map[string]string{}}
	for i := range 1100 {
		a.Scripts[fmt.Sprintf("m%d", i)] = ""
	}
	if _, err := unpack(a.Bytes(t), apkfile.Want{}, apkfile.Limits{}); !errors.Is(err, apkfile.ErrLimit) {
		t.Errorf("1100 members gave %v", err)
	}
}

func TestSignatures(t *testing.T) {
	mine, other := apktest.NewKey(t, "mine.rsa.pub"), apktest.NewKey(t, "other.rsa.pub")
	keys := apkfile.Keys{}
	if err := keys.AddPEM(mine.Name, mine.PEM(t)); err != nil {
		t.Fatal(err)
	}
	make := func(key *apktest.Key) []byte {
		return apktest.Apk{Name: "x", Version: "1-r0", Files: map[string]string{"a": "b"}, Key: key}.Bytes(t)
	}
	forged := *other
	forged.Name = mine.Name
	modern := *mine
	modern.Hash = crypto.SHA256
	for name, c := range map[string]struct {
		data     []byte
		ok       bool
		stranger bool
	}{
		"signed": {make(mine), true, false}, "by SHA-256": {make(&modern), true, false}, "unsigned": {make(nil), false, true},
		"by a stranger": {make(other), false, true}, "forged": {make(&forged), false, false},
	} {
		info, err := apkfile.ReadFrom(name, bytes.NewReader(c.data), int64(len(c.data)), apkfile.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = info.Signed(keys)
		if (err == nil) != c.ok || errors.Is(err, apkfile.ErrStranger) != c.stranger || err != nil && !errors.Is(err, apkfile.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := keys.AddPEM("bad", []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")); err == nil {
		t.Error("a broken key was taken")
	}
}

// Every package of the fixtures is read, and signed by Alpine.
func TestRealPackages(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(apktest.Packages(t), "x86_64/*.apk"))
	if err != nil || len(files) != 100 {
		t.Fatalf("%d packages, %v", len(files), err)
	}
	for _, file := range files {
		info, err := apkfile.Read(file)
		if err != nil {
			t.Error(err)
			continue
		}
		if info.Signatures == nil || info.ID()+".apk" != filepath.Base(file) {
			t.Errorf("%s: reads as %s", file, info.ID())
		}
	}
}

func FuzzUnpack(f *testing.F) {
	a := apktest.Apk{Name: "x", Version: "1-r0", Files: map[string]string{"etc/x.conf": "a=1\n"}, Scripts: map[string]string{"trigger": "#!/bin/sh\n"}}
	f.Add(a.Bytes(f))
	a.Key = apktest.NewKey(f, "k.rsa.pub")
	f.Add(a.Bytes(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := unpack(data, apkfile.Want{}, apkfile.Limits{Total: 8 << 20, Control: 1 << 20, Entries: 1000})
		if err != nil {
			return
		}
		for _, e := range b.entries {
			if strings.HasPrefix(e.Path, "/") || strings.Contains("/"+e.Path+"/", "/../") {
				t.Fatalf("the path %q was taken", e.Path)
			}
		}
	})
}
