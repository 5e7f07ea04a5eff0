package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A stock image is not built: keys that only a build could obey are refused by
// their names, and what cloud-init can do is taken.
func TestStockImageKeys(t *testing.T) {
	const head = "slipway: v1\nname: stock\nsystem: debian/trixie\nfrom: ./x.qcow2\n"
	for more, want := range map[string]string{
		"packages: [nginx]":                              "packages: a stock image (from) is not built",
		"init: none":                                     "init: a stock image",
		"kernel: {package: host}":                        "kernel: a stock image",
		"shares: [{host: ., path: /srv}]":                "vm.disks",
		"sysctl: {a.b: 1}":                               "/etc/sysctl.d",
		"disk: {table: msdos}":                           "disk.table: the disk of a stock image is laid out already",
		"boot: {loader: grub}":                           "boot.loader: a stock image has its own loader",
		"files: [{path: /etc/x/, from: .}]":              "files, not folders",
		"run: [{command: apt update, network: true}]":    "outside: true",
		"hostname: a\ndisk: {size: 9G}\nrun: [\"true\"]": "",
		"boot: {firmware: [uefi]}\nvm: {memory: 2G}\nusers: [{name: ops, sudo: nopasswd}]": "",
	} {
		path := filepath.Join(t.TempDir(), "stock.yaml")
		if err := os.WriteFile(path, []byte(head+more+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(path, Options{})
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", more, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: got %v, want %q", more, err, want)
		}
	}
}
