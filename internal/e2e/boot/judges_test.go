package boot

import (
	"os/exec"
	"strings"
	"testing"
)

// judges are foreign programs that read an image; FILE stands for it.
var judges = map[string][][]string{
	".raw":      {{"sgdisk", "-v", "FILE"}},
	".qcow2":    {{"qemu-img", "check", "FILE"}},
	".ext4":     {{"e2fsck", "-fn", "FILE"}},
	".squashfs": {{"unsquashfs", "-s", "FILE"}},
	".erofs":    {{"fsck.erofs", "FILE"}},
	".efi":      {{"objdump", "-h", "FILE"}},
	".oci.tar":  {{"tar", "-tf", "FILE", "index.json"}},
}

// judge asks those that are installed.
func judge(t *testing.T, suffix, file string) {
	t.Helper()
	for _, line := range judges[suffix] {
		if _, err := exec.LookPath(line[0]); err != nil {
			t.Logf("%s is not installed", line[0])
			continue
		}
		args := append([]string(nil), line[1:]...)
		for i := range args {
			if args[i] == "FILE" {
				args[i] = file
			}
		}
		out, err := exec.Command(line[0], args...).CombinedOutput()
		if err != nil {
			t.Errorf("%s %s: %v\n%s", line[0], strings.Join(args, " "), err, out)
		}
	}
}
