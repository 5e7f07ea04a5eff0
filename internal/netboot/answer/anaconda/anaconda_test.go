package anaconda

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"slipway/internal/machine"
)

var update = flag.Bool("update", false, "rewrite what the golden files expect")

func TestGolden(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.ks")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Import(string(text), Options{Name: strings.TrimSuffix(filepath.Base(path), ".ks")})
			if err != nil {
				t.Fatal(err)
			}
			out := string(got.YAML) + "----------\n" + strings.Join(got.Warnings, "\n") + "\n"
			golden := strings.TrimSuffix(path, ".ks") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out); diff != "" {
				t.Errorf("another definition (-want +got; -update rewrites it):\n%s", diff)
			}
			loads(t, got)
		})
	}
}

// loads checks the promise: what comes out is a definition, without secrets.
func loads(t *testing.T, got *Imported) *machine.Definition {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "x.yaml")
	if err := os.WriteFile(path, got.YAML, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := machine.Load(path, machine.Options{})
	if err != nil {
		t.Fatalf("it does not load: %v\n%s", err, got.YAML)
	}
	for user, hash := range got.Hashes {
		if len(hash) > 8 && strings.Contains(string(got.YAML)+strings.Join(got.Warnings, "\n"), hash) {
			t.Errorf("the hash of %s is shown:\n%s", user, got.YAML)
		}
	}
	return d
}

func TestSecretsStayApart(t *testing.T) {
	const secret = "correct-horse-battery"
	for _, line := range []string{
		"rootpw " + secret, "rootpw --plaintext " + secret, "user --name=a --password=" + secret, "user --name=a --password " + secret + " --plaintext",
		"sshpw --username=root " + secret, "bootloader --password=" + secret, "autopart --encrypted --passphrase=" + secret,
		"network --device=wlan0 --essid=x --wpakey=" + secret, "part / --encrypted --passphrase " + secret, "url --url=http://me:" + secret + "@example.org/",
	} {
		got, err := Import(line+"\n", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(got.YAML)+strings.Join(got.Warnings, "\n"), secret) {
			t.Errorf("%s: the secret is shown:\n%s\n%s", line, got.YAML, strings.Join(got.Warnings, "\n"))
		}
		loads(t, got)
	}
}

func TestBroken(t *testing.T) {
	for text, want := range map[string]string{
		"%post\necho":                    "has no %end",
		strings.Repeat("x", maxBytes+1):  "more than a kickstart ever has",
		strings.Repeat("\n", maxLines+1): "more than a kickstart ever has",
	} {
		if _, err := Import(text, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func FuzzImport(f *testing.F) {
	paths, _ := filepath.Glob("testdata/*.ks")
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Add("network --device=\"a: b\" --ip=1 --netmask=2\nuser --name='{' --uid=x --gecos=\"a\x01:\"\n%packages\nnull\n~\n%end\n")
	f.Add("part / --size=-1 --label='x y'\nlang \"#\"\ntimezone '- a'\nkeyboard '\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		got, err := Import(text, Options{})
		if err != nil {
			if strings.Contains(err.Error(), "does not load") {
				t.Fatalf("%v\n%s", err, text)
			}
			return
		}
		loads(t, got)
	})
}
