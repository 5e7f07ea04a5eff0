package answer

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/machine"
)

func load(t *testing.T, text string) *machine.Definition {
	t.Helper()
	path := filepath.Join(t.TempDir(), "x.yaml")
	if err := os.WriteFile(path, []byte("slipway: v1\nname: x\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := machine.Load(path, machine.Options{HostArch: "amd64"})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRefused(t *testing.T) {
	alma, debian := "system: alma/9\n", "system: debian/bookworm\n"
	for _, c := range []struct {
		kind  Kind
		text  string
		facts Facts
		want  string
	}{
		{"yast", alma, Facts{}, `there is no format of answers "yast"`},
		{Kickstart, alma, Facts{Base: "http://x/b"}, "does not end with a slash"},
		{Kickstart, debian, Facts{}, "system: Anaconda installs alma, rocky and fedora"},
		{Preseed, alma, Facts{Base: "http://x/"}, "system: debian-installer installs debian"},
		{Preseed, debian, Facts{}, "no base address is known"},
		{Kickstart, alma + "files: [{path: /x, secret: {env: HOME}}]\n", Facts{}, "no base address is known"},
		{Kickstart, alma + "users: [{name: a, group: b}]\n", Facts{}, "users.0.group: a kickstart makes users"},
		{Kickstart, alma + "users: [{name: a, password: {hash_env: NOT_THERE}}]\n", Facts{}, "the environment has no NOT_THERE"},
		{Kickstart, alma + "users: [{name: a, password: {hash_env: BAD}}]\n", Facts{}, "it is no crypt(3) hash"},
		{Autoinstall, "system: ubuntu/noble\n", Facts{Base: "http://x/"}, "netboot.disk: Subiquity would choose a disk by itself"},
	} {
		t.Setenv("BAD", "two words")
		_, err := Render(c.kind, load(t, c.text), c.facts)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s of %q: got %v, want %q", c.kind, c.text, err, c.want)
		}
	}
}

func TestBootArgsRefused(t *testing.T) {
	d := load(t, "system: debian/bookworm\n")
	for _, c := range []struct {
		kind   Kind
		facts  Facts
		loader Loader
		want   string
	}{
		{"yast", Facts{Base: "http://x/"}, IPXE, "there is no format"},
		{Preseed, Facts{}, IPXE, "does not end with a slash"},
		{Preseed, Facts{Base: "http://x/", Args: []string{"a\"b"}}, IPXE, "cannot stand in one"},
		{Preseed, Facts{Base: "http://x/", Args: []string{"a${b}"}}, IPXE, "cannot stand in one"},
		{Preseed, Facts{Base: "http://x/", Syslog: "nowhere"}, IPXE, "the address of syslog"},
		{Ignition, Facts{Base: "http://x/", Image: "http://x/r", Disk: "serial:1"}, IPXE, "needs the path of a disk"},
		{Alpine, Facts{Base: "http://x/"}, IPXE, "needs the modloop"},
		{Autoinstall, Facts{Base: "http://x/"}, IPXE, "needs its live image"},
	} {
		if _, err := BootArgs(c.kind, d, c.facts, c.loader); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: got %v, want %q", c.kind, c.facts, err, c.want)
		}
	}
}

// The semicolon is quoted for GRUB alone, whose shell would end there.
func TestQuoting(t *testing.T) {
	d := load(t, "system: ubuntu/noble\n")
	for loader, want := range map[Loader]string{
		IPXE: ` ds=nocloud;s=http://x/b/T/`, Syslinux: ` ds=nocloud;s=http://x/b/T/`, Direct: ` ds=nocloud;s=http://x/b/T/`, GRUB: ` "ds=nocloud;s=http://x/b/T/"`,
	} {
		line, err := BootArgs(NoCloud, d, Facts{Base: "http://x/b/T/"}, loader)
		if err != nil || !strings.HasSuffix(line, want) {
			t.Errorf("%s: got %q (%v), want it to end with %q", loader, line, err, want)
		}
	}
	if got := GRUB.quote("a$b"); got != `"a\$b"` {
		t.Errorf("a dollar for GRUB: %s", got)
	}
}

func TestWanted(t *testing.T) {
	d := load(t, "system: debian/bookworm\nnetboot: {mode: install, disk: \"serial:X\", installer: {keyboard: ch, args: [a]}}\n")
	kind, ok := Wanted(d)
	f := Facts{MACs: []net.HardwareAddr{{2, 0, 0, 0, 0, 1}}}.From(d)
	if kind != Preseed || !ok || f.Disk != "serial:X" || f.Keyboard != "ch" || len(f.Args) != 1 || len(f.MACs) != 1 {
		t.Errorf("%s %v %+v", kind, ok, f)
	}
	if _, ok := Wanted(load(t, "system: debian/bookworm\n")); ok {
		t.Error("no installer was asked for")
	}
}

// The part of a script that looks for a disk finds the one that is meant, and
// fails at none and at several. Folders stand for /sys and /dev.
func TestFindDisk(t *testing.T) {
	for _, c := range []struct {
		disk    string
		serials map[string]string // device: serial number
		ids     map[string]string // name below by-id: device
		want    string
	}{
		{"serial:AB", map[string]string{"vda": "AB", "vdb": "AC"}, nil, "disk=/dev/vda"},
		{"serial:AB", map[string]string{"vda": "AB", "vdb": "AB"}, nil, "why=2 disks with the serial number AB"},
		{"serial:AB", map[string]string{"vda": "ABC"}, nil, "why=0 disks with the serial number AB"},
		{"serial:AB", map[string]string{"sda": "", "sdb": ""}, map[string]string{"ata-X_AB": "sda", "ata-X_AB-part1": "sdb", "ata-X_ABC": "sdb"}, "disk=/dev/sda"},
		{"serial:AB", map[string]string{"sda": ""}, map[string]string{"ata-X_AB": "sda", "wwn-1_AB": "sda"}, "disk=/dev/sda"},
		{"/dev/disk/by-id/none", nil, nil, "why=no disk"},
		{"", map[string]string{"vda": "A", "sr0": "B", "loop0": "C"}, nil, "disk=/dev/vda"},
		{"", map[string]string{"vda": "A", "sda": "B"}, nil, "why=2 disks, and the definition names none"},
	} {
		root := t.TempDir()
		for device, serial := range c.serials {
			dir := filepath.Join(root, "sys/block", device)
			put(t, filepath.Join(dir, "serial"), serial)
			put(t, filepath.Join(dir, "removable"), "0\n")
			put(t, filepath.Join(dir, "size"), "100\n")
			put(t, filepath.Join(root, "dev", device), "")
		}
		for id, device := range c.ids {
			dir := filepath.Join(root, "dev/disk/by-id")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../../"+device, filepath.Join(dir, id)); err != nil {
				t.Fatal(err)
			}
		}
		script := "fail() { echo \"why=$why\"; exit 0; }\n" + findDisk(Facts{Disk: c.disk}) + "echo \"disk=$disk\"\n"
		script = strings.NewReplacer("/sys/block", root+"/sys/block", "/dev/", root+"/dev/").Replace(script)
		out, err := exec.Command("sh", "-c", script).CombinedOutput()
		if got := strings.ReplaceAll(string(out), root, ""); err != nil || !strings.HasPrefix(got, c.want) {
			t.Errorf("%q with %v %v: got %q (%v), want %q", c.disk, c.serials, c.ids, got, err, c.want)
		}
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
