package metal

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestForeign(t *testing.T) {
	at := func(offset int, text string) []byte { return append(make([]byte, offset), text...) }
	for _, c := range []struct {
		want string
		disk []byte
	}{
		{"LUKS encryption", []byte("LUKS\xba\xbe\x00\x02")},
		{"ntfs", []byte("\xebR\x90NTFS    \x00\x02\x08")},
		{"LVM physical volume", at(512, "LABELONE\x01\x00\x00\x00\x00\x00\x00\x00")},
		{"RAID member", at(4096, "\xfc\x4e\x2b\xa9\x01\x00\x00\x00")},
		{"zfs", at(128<<10+5<<10, "\x0c\xb1\xba\x00\x00\x00\x00\x00\x88\x13")},
		{"", at(512, "LABELON")},
		{"", make([]byte, 1<<20)},
		{"", nil},
	} {
		if got := foreign(bytes.NewReader(c.disk)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestForeignContents: people are told what they would lose.
func TestForeignContents(t *testing.T) {
	d := fileDisk(t, 32<<20)
	f, err := os.OpenFile(d.Path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteAt(make([]byte, 64<<10), 0)
	f.WriteAt([]byte("LABELONE"), 512)
	c, err := d.Contents()
	if err != nil || c.Empty() || strings.Join(c.Lines(), "") != "all of it: 32 MiB, LVM physical volume" {
		t.Errorf("%q, %v", c.Lines(), err)
	}
}

// TestTwins: a disk that holds the same partitions as another one.
func TestTwins(t *testing.T) {
	a, b, other := partitioned(t, 16<<20), zeros(t, 16<<20), partitioned(t, 16<<20)
	data, err := os.ReadFile(a)
	if err == nil {
		err = os.WriteFile(b, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	one := find(t, a)
	if got := one.twins([]*Device{one, find(t, b), find(t, other)}); len(got) != 1 || got[0].Path != b {
		t.Errorf("twins %v", got)
	}
}
