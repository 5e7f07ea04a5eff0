package equal

import (
	"slices"
	"strings"
	"testing"

	"slipway/internal/tree"
)

// tiny makes a tree of literal entries; the name of a file is its content
// unless content says otherwise.
func tiny(t *testing.T, content map[string]string, entries ...tree.Entry) *Tree {
	t.Helper()
	bytes := tree.Bytes{}
	m := &tree.Manifest{Entries: append([]tree.Entry{{Path: ".", Type: tree.Dir, Mode: 0o755}}, entries...)}
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Type != tree.File {
			continue
		}
		text, ok := content[e.Path]
		if !ok {
			text = e.Path
		}
		e.Size, e.Digest = int64(len(text)), bytes.Add([]byte(text))
	}
	m.Sort()
	out, err := NewTree(m, bytes)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func paths(findings []Finding) []string {
	var out []string
	for _, f := range findings {
		out = append(out, f.Path)
	}
	return out
}

func file(path string) tree.Entry { return tree.Entry{Path: path, Type: tree.File, Mode: 0o644} }

func TestCompareSeesEveryAttribute(t *testing.T) {
	base := tree.Entry{Path: "x", Type: tree.File, Mode: 0o644, UID: 33, GID: 33, Xattrs: map[string]string{"user.a": "1"}}
	change := func(f func(e *tree.Entry)) tree.Entry {
		e := base
		f(&e)
		return e
	}
	cases := []struct {
		name string
		ours tree.Entry
		want []tree.Attribute
	}{
		{"nothing", base, nil},
		{"time", change(func(e *tree.Entry) { e.MTime = 7 }), nil},
		{"mode", change(func(e *tree.Entry) { e.Mode = 0o4644 }), []tree.Attribute{tree.AttrMode}},
		{"owner", change(func(e *tree.Entry) { e.UID = 34 }), []tree.Attribute{tree.AttrUID}},
		{"group", change(func(e *tree.Entry) { e.GID = 0 }), []tree.Attribute{tree.AttrGID}},
		{"xattr", change(func(e *tree.Entry) { e.Xattrs = nil }), []tree.Attribute{tree.AttrXattrs}},
		{"type", change(func(e *tree.Entry) { e.Type = tree.Fifo }), []tree.Attribute{tree.AttrType}},
	}
	for _, c := range cases {
		got := Compare(tiny(t, nil, base), tiny(t, nil, c.ours))
		if len(c.want) == 0 && len(got) == 0 {
			continue
		}
		if len(got) != 1 || !slices.Equal(got[0].Attrs, c.want) {
			t.Errorf("%s: got %+v, want %v", c.name, got, c.want)
		}
	}
	device := tree.Entry{Path: "d", Type: tree.Char, Major: 1, Minor: 3}
	other := device
	other.Minor = 5
	link := tree.Entry{Path: "l", Type: tree.Symlink, Target: "a"}
	elsewhere := link
	elsewhere.Target = "b"
	if got := Compare(tiny(t, nil, device, link), tiny(t, nil, other, elsewhere)); len(got) != 2 {
		t.Errorf("device and target: got %+v", got)
	}
}

func TestOwnersByName(t *testing.T) {
	passwd := func(id string) map[string]string {
		return map[string]string{"etc/passwd": "root:x:0:0::/:/bin/sh\nmysql:x:" + id + ":100::/:/bin/false\n"}
	}
	owned := func(uid uint32) tree.Entry { return tree.Entry{Path: "x", Type: tree.Dir, UID: uid} }
	a := tiny(t, passwd("101"), file("etc/passwd"), owned(101))
	b := tiny(t, passwd("105"), file("etc/passwd"), owned(105))
	if got := paths(Compare(a, b)); !slices.Equal(got, []string{"etc/passwd"}) {
		t.Errorf("the same name under another number: %v", got)
	}
	c := tiny(t, passwd("105"), file("etc/passwd"), owned(101))
	if got := paths(Compare(b, c)); !slices.Equal(got, []string{"x"}) {
		t.Errorf("a number without the name: %v", got)
	}
}

func TestSubtract(t *testing.T) {
	content := func(s string) map[string]string { return map[string]string{"key": s, "mode": "same", "plain": s} }
	first := tiny(t, content("1"), file("key"), file("mode"), file("plain"))
	second := tiny(t, map[string]string{"key": "2", "mode": "same", "plain": "1"}, file("key"), file("mode"), file("plain"))
	noise := Compare(first, second)
	if got := paths(noise); !slices.Equal(got, []string{"key"}) {
		t.Fatalf("noise: %v", got)
	}
	wrongMode := file("key")
	wrongMode.Mode = 0o666
	cases := []struct {
		name string
		ours *Tree
		want []string
	}{
		{"a third key", tiny(t, map[string]string{"key": "3", "mode": "same", "plain": "1"}, file("key"), file("mode"), file("plain")), nil},
		{"no key", tiny(t, map[string]string{"mode": "same", "plain": "1"}, file("mode"), file("plain")), nil},
		{"a key for all", tiny(t, map[string]string{"key": "3", "mode": "same", "plain": "1"}, wrongMode, file("mode"), file("plain")), []string{"key"}},
		{"another text", tiny(t, map[string]string{"key": "1", "mode": "same", "plain": "9"}, file("key"), file("mode"), file("plain")), []string{"plain"}},
		{"no text", tiny(t, map[string]string{"key": "1", "mode": "same"}, file("key"), file("mode")), []string{"plain"}},
	}
	for _, c := range cases {
		if got := paths(Subtract(Compare(first, c.ours), noise)); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRules(t *testing.T) {
	ref := tiny(t, map[string]string{"a/list": "x\ny\n"}, file("a/list"), file("a/deep/gone"), file("other"))
	same := tiny(t, map[string]string{"a/list": "y\nx\n"}, file("a/list"), file("other"))
	lines := Rule{Path: "a/list", Change: tree.Changed, Equal: sameLines}
	below := Rule{Path: "a/**", Change: tree.Removed}
	findings := Compare(ref, same)
	if got := paths(findings); !slices.Equal(got, []string{"a/deep/gone", "a/list"}) {
		t.Fatalf("findings %v", got)
	}
	if !below.match(&findings[0], ref, same) || below.match(&findings[1], ref, same) {
		t.Error("a rule for what is missing covers exactly that")
	}
	if !lines.match(&findings[1], ref, same) {
		t.Error("lines in another order are not seen as such")
	}
	wrong := tiny(t, map[string]string{"a/list": "y\nz\n"}, file("a/list"), file("a/deep/gone"), file("other"))
	if f := Compare(ref, wrong); lines.match(&f[0], ref, wrong) {
		t.Error("other lines pass as the same")
	}
	mode := file("a/list")
	mode.Mode = 0o600
	if f := Compare(ref, tiny(t, map[string]string{"a/list": "y\nx\n"}, mode, file("a/deep/gone"), file("other"))); lines.match(&f[0], ref, same) {
		t.Error("a rule about content covers a mode")
	}
	for _, r := range Allowed {
		if r.Reason == "" || r.Path == "" || strings.HasPrefix(r.Path, "/") || r.Change == "" {
			t.Errorf("incomplete line %+v", r)
		}
	}
}

func TestReportNamesThePackage(t *testing.T) {
	content := map[string]string{"var/lib/dpkg/info/sed.list": "/.\n/etc\n/etc/x\n", "etc/x": "one\ntwo\n"}
	ref := tiny(t, content, file("etc/x"), file("var/lib/dpkg/info/sed.list"))
	ours := tiny(t, map[string]string{"var/lib/dpkg/info/sed.list": content["var/lib/dpkg/info/sed.list"], "etc/x": "one\nsecret\n"},
		file("etc/x"), file("var/lib/dpkg/info/sed.list"))
	findings := Compare(ref, ours)
	got := Report(findings, ref, ours)
	for _, want := range []string{"sed: size, content: 1", "/etc/x", `- "two"`, `+ "secret"`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if got := Outline(findings, ref, ours); strings.Contains(got, "secret") {
		t.Errorf("the outline shows content:\n%s", got)
	}
}
