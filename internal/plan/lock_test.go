package plan

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func sample() *Lock {
	sum := strings.Repeat("ab", 32)
	return &Lock{
		Version: LockVersion, System: "debian/trixie", Arch: "amd64",
		Date:    time.Unix(1700000000, 0).UTC(),
		Request: map[Class]string{Plain: "r1"},
		Base:    map[Class][]string{Plain: {"a:amd64=1"}},
		Rest:    map[Class][]string{Plain: {"b:all=2"}},
		Packages: []Package{
			{Name: "a", Arch: "amd64", Version: "1", SHA256: sum, Size: 3, File: "pool/a.deb"},
			{Name: "b", Arch: "all", Version: "2", SHA256: sum, Size: 4, File: "pool/b.deb"},
		},
	}
}

func TestLockRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	want := sample()
	if err := WriteLock(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Encode(), want.Encode()) {
		t.Errorf("read back differs:\n%s\n%s", got.Encode(), want.Encode())
	}
	if n := strings.Count(string(want.Encode()), "\n  {\"name\""); n != 2 {
		t.Errorf("want one package a line, got %d lines:\n%s", n, want.Encode())
	}
}

func TestLockMissingIsNil(t *testing.T) {
	l, err := ReadLock(filepath.Join(t.TempDir(), "none"))
	if l != nil || err != nil {
		t.Errorf("got %v, %v", l, err)
	}
}

func TestLockRefusals(t *testing.T) {
	for name, change := range map[string]func(string) string{
		"unknown field": func(s string) string { return strings.Replace(s, `"system"`, `"sytem"`, 1) },
		"no hash":       func(s string) string { return strings.Replace(s, strings.Repeat("ab", 32), "", 1) },
		"unpinned":      func(s string) string { return strings.Replace(s, `"name":"b"`, `"name":"c"`, 1) },
		"newer format":  func(s string) string { return strings.Replace(s, `"version": 1`, `"version": 9`, 1) },
		"truncated":     func(s string) string { return s[:len(s)/2] },
	} {
		if _, err := DecodeLock("x.lock", []byte(change(string(sample().Encode())))); err == nil {
			t.Errorf("%s: accepted", name)
		} else if !strings.Contains(err.Error(), "x.lock") {
			t.Errorf("%s: message does not name the file: %v", name, err)
		}
	}
}

func TestMergeDropsUnused(t *testing.T) {
	l, o := sample(), sample()
	o.Packages[1].Version = "3"
	o.Rest[Plain] = []string{"b:all=3"}
	l.Merge(o)
	if _, ok := l.Find("b:all=2"); ok {
		t.Error("the replaced package is still pinned")
	}
	if _, ok := l.Find("b:all=3"); !ok {
		t.Error("the new package is not pinned")
	}
}

func TestDifferences(t *testing.T) {
	a, b := sample().Packages, sample().Packages[:1]
	b[0].Version = "1.1"
	b = append(b, Package{Name: "z", Version: "9"})
	var got []string
	for _, c := range Differences(a, b) {
		got = append(got, c.String())
	}
	want := "a 1 -> 1.1; b 2 removed; z 9 added"
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("got %q, want %q", s, want)
	}
}

func FuzzDecodeLock(f *testing.F) {
	f.Add(sample().Encode())
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := DecodeLock("x", data)
		if err != nil {
			return
		}
		again, err := DecodeLock("x", l.Encode())
		if err != nil {
			t.Fatalf("own encoding refused: %v", err)
		}
		if !bytes.Equal(again.Encode(), l.Encode()) {
			t.Fatal("not canonical")
		}
	})
}
