package tree

import (
	"bytes"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sample is a small tree with an entry of every kind.
func sample() (*Manifest, Bytes) {
	c := Bytes{}
	a, b := c.Add([]byte("alpha\n")), c.Add(bytes.Repeat([]byte("b"), 300_000))
	m := &Manifest{Entries: []Entry{
		{Path: ".", Type: Dir, Mode: 0o755, MTime: 100},
		{Path: "-dash", Type: File, Mode: 0o644, MTime: 1, MNsec: 5, Size: 6, Digest: a},
		{Path: "dev", Type: Dir, Mode: 0o755, MTime: 101},
		{Path: "dev/null", Type: Char, Mode: 0o666, Major: 1, Minor: 3},
		{Path: "dir", Type: Dir, Mode: 0o1777, MTime: 102},
		{Path: "dir/empty", Type: Dir, Mode: 0o700, MTime: 103},
		{Path: "dir/pipe", Type: Fifo, Mode: 0o600, MTime: 104},
		{Path: "dir/sock", Type: Socket, Mode: 0o755, MTime: 105},
		{Path: "file", Type: File, Mode: 0o4755, UID: 3, GID: 4, MTime: 106, Size: 300_000, Digest: b,
			Xattrs: map[string]string{"user.x": "1", "user.a": "\x00\xff"}},
		{Path: "hard", Type: File, Mode: 0o4755, UID: 3, GID: 4, MTime: 106, Size: 300_000, Digest: b, Link: "file",
			Xattrs: map[string]string{"user.x": "1", "user.a": "\x00\xff"}},
		{Path: "link", Type: Symlink, Mode: 0o777, MTime: -107, Target: "../etc/\xffpasswd"},
		{Path: "zero", Type: File, Mode: 0, Digest: Empty},
	}}
	return m, c
}

func encode(t testing.TB, m *Manifest) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEncodeDecode(t *testing.T) {
	for name, m := range map[string]*Manifest{"empty": {Entries: []Entry{}}, "sample": first(sample())} {
		got, err := Decode(bytes.NewReader(encode(t, m)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d := cmp.Diff(m, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", name, d)
		}
		if got.Digest() != m.Digest() {
			t.Errorf("%s: another digest after a round trip", name)
		}
	}
}

func first[A, B any](a A, _ B) A { return a }

func TestDecodeDamage(t *testing.T) {
	m, _ := sample()
	good := encode(t, m)
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		if _, err := Decode(bytes.NewReader(b)); err == nil {
			t.Errorf("bit flip at %d is not noticed", i)
		}
		if _, err := Decode(bytes.NewReader(good[:i])); err == nil {
			t.Errorf("cut at %d is not noticed", i)
		}
	}
	if _, err := Decode(bytes.NewReader(append(good, 0))); err == nil {
		t.Error("a byte too many is not noticed")
	}
}

// seal gives bytes the checksum of a manifest, as an attacker would.
func seal(body []byte) []byte {
	b := append([]byte(magic+"\x01"), body...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func TestDecodeForged(t *testing.T) {
	entry := func(es ...Entry) []byte {
		b := []byte{byte(len(es))}
		for i := range es {
			b = AppendEntry(b, &es[i])
		}
		return b
	}
	for want, body := range map[string][]byte{
		"holds at most 0":   {0xff, 0xff, 0x03},
		"shortest form":     {0x80, 0x00},
		"ends too late":     {0x80},
		"bytes too many":    {0, 0},
		"not clean":         entry(Entry{Path: "../x", Type: Dir}),
		"unknown type":      entry(Entry{Path: "x", Type: 'q'}),
		"not sorted":        entry(Entry{Path: "b", Type: Dir}, Entry{Path: "a", Type: Dir}),
		"there twice":       entry(Entry{Path: "a", Type: Dir}, Entry{Path: "a", Type: Dir}),
		"is no folder":      entry(Entry{Path: "a", Type: Fifo}, Entry{Path: "a/b", Type: Dir}),
		"root is not":       entry(Entry{Path: ".", Type: Fifo}),
		"usable target":     entry(Entry{Path: "a", Type: Symlink}),
		"not the first":     entry(Entry{Path: "a", Type: Fifo, Link: "b"}, Entry{Path: "b", Type: Fifo}),
		"differs from":      entry(Entry{Path: "a", Type: Fifo}, Entry{Path: "b", Type: Socket, Link: "a"}),
		"bad hard link":     entry(Entry{Path: "a", Type: Dir}, Entry{Path: "b", Type: Dir, Link: "a"}),
		"number 1000000000": entry(Entry{Path: "a", Type: Dir, MNsec: 1e9}),
	} {
		_, err := Decode(bytes.NewReader(seal(body)))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	m, _ := sample()
	good := encode(f, m)
	f.Add(good[len(magic)+1 : len(good)-sha256.Size])
	f.Add([]byte{0})
	f.Add([]byte{0xff, 0xff, 0x03})
	f.Fuzz(func(t *testing.T, body []byte) {
		b := seal(body)
		m, err := Decode(bytes.NewReader(b))
		if err == nil && !bytes.Equal(encode(t, m), b) {
			t.Errorf("decodes, but encodes differently: %x", body)
		}
	})
}

func TestValidPath(t *testing.T) {
	for p, want := range map[string]bool{
		".": true, "a": true, "a/b": true, "..a": true, "a/.b/c..": true, " ": true, "\xff": true,
		"": false, "/": false, "/a": false, "a/": false, "a//b": false, "..": false, "a/..": false,
		"a/../b": false, "./a": false, "a/.": false, "a\x00": false, strings.Repeat("a", MaxPath+1): false,
	} {
		if got := ValidPath(p); got != want {
			t.Errorf("ValidPath(%.20q) = %v, want %v", p, got, want)
		}
	}
}

func TestSortAndLookup(t *testing.T) {
	m := &Manifest{}
	for _, p := range []string{"a/b", "a-b", "a", ".", "-", "ab", "\xff"} {
		m.Entries = append(m.Entries, Entry{Path: p, Type: Dir})
	}
	m.Sort()
	var got []string
	for _, e := range m.Entries {
		got = append(got, e.Path)
	}
	if want := []string{".", "-", "a", "a-b", "a/b", "ab", "\xff"}; !cmp.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	for _, p := range got {
		if e := m.Lookup(p); e == nil || e.Path != p {
			t.Errorf("Lookup(%q) = %v", p, e)
		}
	}
	if m.Lookup("a/c") != nil || m.Lookup("") != nil {
		t.Error("found what is not there")
	}
}

func TestCompare(t *testing.T) {
	a, _ := sample()
	if d := Compare(a, a); len(d) != 0 {
		t.Errorf("a tree differs from itself: %v", d)
	}
	b, c := sample()
	b.Lookup("dir").Mode = 0o755
	b.Lookup("-dash").Digest = c.Add([]byte("omega\n"))
	b.Lookup("hard").Link = ""
	b.Lookup("link").Target = "x"
	b.Lookup("dev/null").Minor = 4
	b.Lookup("file").Xattrs = nil
	b.Lookup("zero").Path = "zzz"
	b.Lookup("dir/pipe").Type = Socket
	want := []struct {
		path string
		c    Change
		a    []Attribute
	}{
		{"-dash", Changed, []Attribute{AttrContent}}, {"dev/null", Changed, []Attribute{AttrDevice}},
		{"dir", Changed, []Attribute{AttrMode}}, {"dir/pipe", Changed, []Attribute{AttrType}},
		{"file", Changed, []Attribute{AttrXattrs}}, {"hard", Changed, []Attribute{AttrLink}},
		{"link", Changed, []Attribute{AttrTarget}}, {"zero", Removed, nil}, {"zzz", Added, nil},
	}
	got := Compare(a, b)
	if len(got) != len(want) {
		t.Fatalf("got %d differences, want %d: %+v", len(got), len(want), got)
	}
	for i, w := range want {
		g := got[i]
		if g.Path != w.path || g.Change != w.c || !cmp.Equal(w.a, g.Attrs) || (g.A == nil) != (w.c == Added) || (g.B == nil) != (w.c == Removed) {
			t.Errorf("difference %d: got %+v, want %+v", i, g, w)
		}
	}
}

func TestClamp(t *testing.T) {
	m, _ := sample()
	Clamp(m, 102)
	if m.Lookup("file").MTime != 102 || m.Lookup(".").MTime != 100 || m.Lookup("-dash").MNsec != 0 {
		t.Errorf("got %+v", m.Entries)
	}
}

func TestCapabilityV2(t *testing.T) {
	v2 := "\x01\x00\x00\x02" + strings.Repeat("\x00\x04\x00\x00", 4)
	v3 := "\x01\x00\x00\x03" + strings.Repeat("\x00\x04\x00\x00", 4) + "\xd0\x02\x01\x70"
	for in, want := range map[string]string{v3: v2, v2: v2, "": "", "short": "short"} {
		if got := capabilityV2(in); got != want {
			t.Errorf("capabilityV2(%x) = %x, want %x", in, got, want)
		}
	}
}
