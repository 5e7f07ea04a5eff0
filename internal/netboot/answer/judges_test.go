package answer

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rendered gives the files of all golden cases of a kind that render.
func rendered(t *testing.T, kinds ...Kind) map[string]File {
	t.Helper()
	t.Setenv("HASH", "$6$saltsalt$vUiu5SUmkVh0Eta1cEuWT9mOJ.bsyvdpzAtJz5e2XqS3rfLrTVQXkPCyzJaMXSEvFZfHTxRDB0pGTPcGk7zj./")
	out := map[string]File{}
	for _, g := range goldens(t) {
		for _, k := range kinds {
			if g.kind == k {
				files, _ := g.result(t)
				for _, f := range files {
					out[g.name()+"/"+f.Name] = f
				}
			}
		}
	}
	if len(out) == 0 {
		t.Fatal("no case renders")
	}
	return out
}

// judge runs a program over a file.
func judge(t *testing.T, name string, f File, program string, args ...string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(f.Name))
	if err := os.WriteFile(path, f.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, append(args, path)...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %s: %v\n%s", name, program, err, out)
	}
}

func need(t *testing.T, program, of string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("there is no %s here (%s)", program, of)
	}
}

func TestPreseedByDebconf(t *testing.T) {
	need(t, "debconf-set-selections", "debconf")
	for name, f := range rendered(t, Preseed) {
		if f.Name == Preseed.Name() {
			judge(t, name, f, "debconf-set-selections", "--checkonly")
		}
	}
}

func TestKickstartByKsvalidator(t *testing.T) {
	need(t, "ksvalidator", "pykickstart")
	for name, f := range rendered(t, Kickstart) {
		if f.Name == Kickstart.Name() {
			judge(t, name, f, "ksvalidator", "--version", "RHEL9")
		}
	}
}

func TestUserDataByCloudInit(t *testing.T) {
	need(t, "cloud-init", "cloud-init")
	for name, f := range rendered(t, NoCloud, Autoinstall) {
		if f.Name == "user-data" {
			judge(t, name, f, "cloud-init", "schema", "--config-file")
		}
	}
}

// All scripts are ones that a POSIX shell can read, and so are those inside
// other files.
func TestScriptsByShell(t *testing.T) {
	for name, f := range rendered(t, Kinds...) {
		switch {
		case f.Type == "text/x-shellscript", f.Name == "answers":
			judge(t, name, f, "sh", "-n")
		case f.Name == Alpine.Name():
			_, script, _ := strings.Cut(string(readable(t, f)), "slipway.start \n")
			script, _, _ = strings.Cut(script, "2 777 ")
			judge(t, name, File{Name: "start", Data: []byte(script)}, "sh", "-n")
		case f.Name == Kickstart.Name():
			for i, script := range sectionsOf(string(f.Data), "%pre", "%post", "%onerror") {
				judge(t, name, File{Name: "section" + string(rune('0'+i)), Data: []byte(script)}, "sh", "-n")
			}
		}
	}
}

func sectionsOf(text string, names ...string) []string {
	var out []string
	for _, part := range strings.Split(text, "\n%end") {
		for _, name := range names {
			if _, body, ok := strings.Cut(part, "\n"+name); ok {
				_, body, _ = strings.Cut(body, "\n")
				out = append(out, body+"\n")
			}
		}
	}
	return out
}

// Ignition's configuration holds only keys of its specification, which its
// parser would refuse otherwise.
func TestIgnitionKeys(t *testing.T) {
	for name, f := range rendered(t, Ignition) {
		if f.Name != Ignition.Name() {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(f.Data))
		dec.DisallowUnknownFields()
		if err := dec.Decode(new(ign)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A secret's content is in no answer but a NoCloud seed, only in a file of its
// own that is marked.
func TestSecretsApart(t *testing.T) {
	const secret = "c2VjcmV0LXRva2Vu correct horse"
	t.Setenv("HASH", "$6$saltsalt$vUiu5SUmkVh0Eta1cEuWT9mOJ.bsyvdpzAtJz5e2XqS3rfLrTVQXkPCyzJaMXSEvFZfHTxRDB0pGTPcGk7zj./")
	t.Setenv("TOKEN", secret)
	for _, g := range goldens(t) {
		path := filepath.Join(g.dir, "machine.yaml")
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte("secret: {env: HASH}")) {
			continue
		}
		data = bytes.ReplaceAll(data, []byte("secret: {env: HASH}"), []byte("secret: {env: TOKEN}"))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		files, _ := g.result(t)
		found := false
		for _, f := range files {
			inside := bytes.Contains(f.Data, []byte(secret))
			apart := strings.HasPrefix(f.Name, "file/")
			found = found || inside && apart && f.Secret
			if inside && !apart {
				t.Errorf("%s: %s holds the secret", g.name(), f.Name)
			}
		}
		if !found {
			t.Errorf("%s: no file brings the secret", g.name())
		}
	}
}
