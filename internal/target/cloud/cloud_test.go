package cloud

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"slipway/internal/image/qcow2"
	"slipway/internal/image/vfat"
	"slipway/internal/machine"
	"slipway/internal/probe"
)

var testInput = Input{
	Hostname: "harbour", Instance: "slipway-1", Key: "ssh-ed25519 AAAA slipway",
	HostKey: HostKey{Private: "PRIVATE\n", Public: "ssh-ed25519 BBBB"},
	MACs:    []net.HardwareAddr{{0x52, 0x54, 0, 1, 2, 3}},
}

func text(s string) *string { return &s }

func seedOf(t *testing.T, d *machine.Definition) (user, network map[string]any) {
	t.Helper()
	seed, err := NewSeed(d, testInput)
	if err != nil {
		t.Fatal(err)
	}
	body, ok := bytes.CutPrefix(seed.UserData, []byte("#cloud-config\n"))
	if !ok {
		t.Fatalf("the user data begins with %.20q", seed.UserData)
	}
	for data, to := range map[string]*map[string]any{string(body): &user, string(seed.NetworkConfig): &network} {
		if err := json.Unmarshal([]byte(data), to); err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
	}
	return user, network
}

// same compares what came out of JSON with a literal of it.
func same(t *testing.T, what string, got any, want string) {
	t.Helper()
	data, err := json.Marshal(got)
	if err != nil || string(data) != want {
		t.Errorf("%s: got %s, want %s (%v)", what, data, want, err)
	}
}

func TestUserData(t *testing.T) {
	key := filepath.Join(t.TempDir(), "ops.pub")
	if err := os.WriteFile(key, []byte("# ours\nssh-ed25519 CCCC ops\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	uid := 1500
	t.Setenv("OPS_HASH", "$6$x\n")
	u, _ := seedOf(t, &machine.Definition{
		Name: "stock", Timezone: "Europe/Zurich",
		Users: []machine.User{
			{Name: "ops", UID: &uid, Groups: []string{"adm"}, SSHKeys: []string{key}, Sudo: "nopasswd", Password: &machine.Password{HashEnv: "OPS_HASH"}},
			{Name: "app", System: true},
		},
		Files: []machine.File{
			{Path: "/etc/motd", Content: text("afloat\n"), Owner: "ops:ops", Mode: "0640"},
			{Path: "/etc/link", Link: "motd"},
		},
		Services: machine.Services{Enable: []string{"nginx"}, Disable: []string{"cron"}},
		Run:      []machine.Command{{Command: "echo 'a b'"}},
		Mounts:   []machine.Mount{{What: "/dev/vdc", Where: "/srv"}},
	})
	same(t, "host name", u["hostname"], `"harbour"`)
	same(t, "root", u["disable_root"], `false`)
	same(t, "keys of root", u["ssh_authorized_keys"], `["ssh-ed25519 AAAA slipway"]`)
	same(t, "host key", u["ssh_keys"], `{"ed25519_private":"PRIVATE\n","ed25519_public":"ssh-ed25519 BBBB"}`)
	same(t, "users", u["users"], `[{"groups":["adm"],"hashed_passwd":"$6$x","lock_passwd":false,"name":"ops","shell":"/bin/bash",`+
		`"ssh_authorized_keys":["ssh-ed25519 AAAA slipway","ssh-ed25519 CCCC ops"],"sudo":"ALL=(ALL:ALL) NOPASSWD:ALL","uid":1500},`+
		`{"lock_passwd":true,"name":"app","system":true}]`)
	same(t, "files", u["write_files"], `[{"content":"`+base64.StdEncoding.EncodeToString([]byte("afloat\n"))+
		`","defer":true,"encoding":"b64","owner":"ops:ops","path":"/etc/motd","permissions":"0640"}]`)
	same(t, "commands", u["runcmd"], `[["mkdir","-p","/etc"],["ln","-sfn","motd","/etc/link"],["systemctl","enable","--now","nginx"],`+
		`["systemctl","disable","--now","cron"],["/bin/sh","-c","echo 'a b'"]]`)
	same(t, "mounts", u["mounts"], `[["/dev/vdc","/srv","auto","defaults","0","0"]]`)
}

func TestDefaultUserStays(t *testing.T) {
	u, _ := seedOf(t, &machine.Definition{Name: "stock"})
	same(t, "users", u["users"], `["default"]`)
}

func TestNetworkConfig(t *testing.T) {
	_, n := seedOf(t, &machine.Definition{})
	same(t, "without network", n["ethernets"], `{"eth0":{"dhcp4":true,"match":{"macaddress":"52:54:00:01:02:03"},"set-name":"eth0"}}`)
	_, n = seedOf(t, &machine.Definition{Network: []machine.Network{{Match: "en*", Address: []string{"192.0.2.10/24"}, Gateway: "192.0.2.1", DNS: []string{"192.0.2.2"}}}})
	same(t, "fixed", n["ethernets"], `{"eth0":{"addresses":["192.0.2.10/24"],"dhcp4":false,"match":{"macaddress":"52:54:00:01:02:03"},`+
		`"nameservers":{"addresses":["192.0.2.2"]},"routes":[{"to":"0.0.0.0/0","via":"192.0.2.1"}],"set-name":"eth0"}}`)
	_, n = seedOf(t, &machine.Definition{Network: []machine.Network{{Match: "en* eth1", DHCP: true}, {Match: "wl*", DHCP: true, Address: []string{"2001:db8::2/64"}, Gateway: "2001:db8::1"}}})
	same(t, "several", n["ethernets"], `{"card0-0":{"dhcp4":true,"match":{"name":"en*"}},"card0-1":{"dhcp4":true,"match":{"name":"eth1"}},`+
		`"card1-0":{"addresses":["2001:db8::2/64"],"dhcp4":true,"match":{"name":"wl*"},"routes":[{"to":"::/0","via":"2001:db8::1"}]}}`)
}

func TestTooLarge(t *testing.T) {
	big := strings.Repeat("x", maxFiles/2+1)
	_, err := NewSeed(&machine.Definition{Files: []machine.File{{Path: "/a", Content: &big}, {Path: "/b", Content: &big}}}, testInput)
	if err == nil || !strings.Contains(err.Error(), "vm.disks") {
		t.Errorf("got %v", err)
	}
}

// volume writes a seed into a file.
func volume(t *testing.T) (path string, seed *Seed) {
	t.Helper()
	seed, err := NewSeed(&machine.Definition{Name: "stock"}, testInput)
	if err != nil {
		t.Fatal(err)
	}
	v, err := seed.Volume(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := v.Write(context.Background(), &out); err != nil {
		t.Fatal(err)
	}
	if int64(out.Len()) != v.Size() {
		t.Errorf("%d bytes were written, the volume has %d", out.Len(), v.Size())
	}
	path = filepath.Join(t.TempDir(), "seed.raw")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, seed
}

func TestVolume(t *testing.T) {
	path, seed := volume(t)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	fat, err := vfat.Open(f, st.Size())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"user-data": seed.UserData, "meta-data": seed.MetaData, "network-config": seed.NetworkConfig} {
		r, err := fat.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
		}
		r.Close()
	}
}

// mtools read the seed as well, and see the label that cloud-init looks for.
func TestVolumeByMtools(t *testing.T) {
	if _, err := exec.LookPath("mlabel"); err != nil {
		t.Skip("there are no mtools here")
	}
	path, seed := volume(t)
	out, err := exec.Command("mlabel", "-s", "-i", path, "::").CombinedOutput()
	if err != nil || !strings.Contains(string(out), Label) {
		t.Errorf("mlabel: %s (%v)", out, err)
	}
	out, err = exec.Command("mtype", "-i", path, "::user-data").Output()
	if err != nil || !bytes.Equal(out, seed.UserData) {
		t.Errorf("mtype: %q (%v)", out, err)
	}
}

func TestLook(t *testing.T) {
	dir := t.TempDir()
	raw := filepath.Join(dir, "disk.raw")
	disk := make([]byte, 1<<20)
	disk[510], disk[511] = 0x55, 0xaa
	if err := os.WriteFile(raw, disk, 0o600); err != nil {
		t.Fatal(err)
	}
	over := filepath.Join(dir, "over.qcow2")
	if err := qcow2.Overlay(over, raw, "raw", 0); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(dir, "junk.xz")
	if err := os.WriteFile(junk, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	if format, size, err := look(raw); format != "raw" || size != 1<<20 || err != nil {
		t.Errorf("raw: %s, %d, %v", format, size, err)
	}
	for path, want := range map[string]string{over: "it lies over", junk: "neither", dir: "is no file", filepath.Join(dir, "none"): "no such file"} {
		if _, _, err := look(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", path, err, want)
		}
	}
}

func TestCommandLine(t *testing.T) {
	got := commandLine(probe.ExecRequest{Args: []string{"/bin/sh", "-c", "echo it's"}, Env: []string{"A=b c"}})
	if want := `cd /root; exec env 'A=b c' '/bin/sh' '-c' 'echo it'\''s'`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The same definition gives the same seed and key; a host key of its own
// belongs to each seed.
func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &machine.Definition{Name: "stock", From: &machine.From{File: path}}
	a, err := key(d, path, testInput)
	if err != nil {
		t.Fatal(err)
	}
	b, _ := key(d, path, testInput)
	other := *d
	other.Timezone = "Europe/Zurich"
	c, _ := key(&other, path, testInput)
	if a != b || a == c {
		t.Errorf("keys: %s, again %s, of another definition %s", a, b, c)
	}
	one, err := newHostKey()
	if err != nil {
		t.Fatal(err)
	}
	two, _ := newHostKey()
	if one.Public == two.Public || !strings.HasPrefix(one.Public, "ssh-ed25519 ") || !strings.Contains(one.Private, "OPENSSH PRIVATE KEY") {
		t.Errorf("host keys: %v %v", one.Public, two.Public)
	}
}
