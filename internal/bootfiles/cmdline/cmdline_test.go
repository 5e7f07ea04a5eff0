package cmdline

import (
	"slices"
	"testing"
)

func TestParse(t *testing.T) {
	l := Parse(" root=UUID=12-34 ro  quiet console=tty0 console=ttyS0,115200 x=\"a b\" \"y=c d\" rw init= \n")
	for key, want := range map[string]string{"root": "UUID=12-34", "x": "a b", "y": "c d", "console": "ttyS0,115200", "quiet": "", "init": ""} {
		if got, ok := l.Get(key); !ok || got != want {
			t.Errorf("%s: %q, %v, want %q", key, got, ok, want)
		}
	}
	if _, ok := l.Get("nothing"); ok {
		t.Error("found a word that is not there")
	}
	if got := l.All("console"); !slices.Equal(got, []string{"tty0", "ttyS0,115200"}) {
		t.Errorf("consoles: %v", got)
	}
	if got := l.Last("ro", "rw"); got != "rw" {
		t.Errorf("the last of ro and rw: %s", got)
	}
	if got := Parse("").Last("ro", "rw"); got != "" {
		t.Errorf("of an empty line: %s", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`root=/dev/vda "a b"=c d"e f"`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range Parse(text) {
			if p.Value != "" && !p.Set {
				t.Errorf("%+v has a value without an equals sign", p)
			}
		}
	})
}
