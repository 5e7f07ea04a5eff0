package metal

import (
	"os/exec"
	"strings"
	"testing"
)

func TestContents(t *testing.T) {
	d := fileDisk(t, 64<<20)
	if c, err := d.Contents(); err != nil || !c.Empty() {
		t.Errorf("%+v, %v", c, err)
	}
	if out, err := exec.Command("mke2fs", "-q", "-F", "-L", "old", d.Path).CombinedOutput(); err != nil {
		t.Skipf("mke2fs: %v %s", err, out)
	}
	c, err := d.Contents()
	if err != nil || c.Empty() || len(c.Lines()) != 1 || !strings.Contains(c.Lines()[0], `64 MiB, ext4, labelled "old"`) && !strings.Contains(c.Lines()[0], `ext2, labelled "old"`) {
		t.Errorf("%q, %v", c.Lines(), err)
	}
	cmd := exec.Command("sfdisk", "-q", d.Path)
	cmd.Stdin = strings.NewReader("label: gpt\nsize=10MiB, name=first\nsize=20MiB, name=second\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("sfdisk: %v %s", err, out)
	}
	c, err = d.Contents()
	if err != nil || len(c.Parts) != 2 || c.Table != "gpt" || c.Parts[1].Name != "second" || c.Lines()[0] != `partition 1: 10 MiB, named "first"` {
		t.Errorf("%+v %q, %v", c, c.Lines(), err)
	}
}
