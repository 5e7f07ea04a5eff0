package kit

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"slipway/internal/distro/deb/archive/archivetest"
)

// toyPrograms are what dpkg wants to find, and what the toy machines' scripts
// use.
var toyPrograms = []string{
	"dpkg", "dpkg-deb", "dpkg-split", "dpkg-query", "sh", "rm", "tar", "diff", "ldconfig", "start-stop-daemon",
	"cat", "sleep", "ls", "mkdir", "touch", "id", "stat", "grep", "true", "head", "dd", "ln", "chmod", "readlink", "env", "uname", "kill", "sort", "wc", "cp", "mount",
}

// toyInit is process 1 of a toy machine: it says that it is there, reaps what
// it gets, and ends when it is told to.
const toyInit = `#!/bin/sh
trap 'echo toy: ending; exit 0' TERM INT PWR USR1
trap 'echo toy: failing; exit 7' USR2
echo toy: up
if [ -e /etc/toy-fail ]; then sleep 0.3; echo toy: failing; exit 7; fi
while :; do sleep 0.1 & wait $!; done
`

// Toy is a small archive and the text of a definition that uses it.
type Toy struct {
	*archivetest.Archive
	URL string
}

// NewToy makes a toy archive, served over HTTP for the test's duration. The
// package "toy" depends on "toy-lib"; "toy-old" has a newer version in no
// suite; "toy-clash" conflicts with toy. Further packages can be added, and
// published, by the test.
func NewToy(t testing.TB) *Toy {
	t.Helper()
	a := archivetest.New(t)
	a.Archs = []string{runtime.GOARCH}
	a.Add(toyBase(t),
		archivetest.Deb{Name: "toy-lib", Files: map[string]string{"/usr/share/toy-lib/data": "lib\n"}},
		archivetest.Deb{
			Name: "toy", Depends: "toy-lib (>= 1.0)", Files: map[string]string{"/usr/share/toy/hello": "hello\n", "/etc/toy.conf": "answer=42\n"},
			Scripts: map[string]string{
				"conffiles": "/etc/toy.conf\n",
				"postinst":  "#!/bin/sh\nset -e\necho configured $1 > /usr/share/toy/state\necho toy speaks\n",
			},
		},
		archivetest.Deb{Name: "toy-extra", Files: map[string]string{"/usr/share/toy-extra": "extra\n"}},
		archivetest.Deb{Name: "toy-clash", Conflicts: "toy"},
		archivetest.Deb{Name: "toy-broken", Depends: "toy-absent (>= 2)"},
	)
	toy := &Toy{Archive: a}
	toy.URL = a.Serve()
	return toy
}

// Definition is a definition of that archive: no init unless more says so.
func (y *Toy) Definition(name, more string) string {
	text := fmt.Sprintf(`slipway: v1
name: %s
system: debian/trixie
base: essential
mirror: none
repositories:
  - {url: "%s", suite: trixie, components: [main], signed_by: %s}
`, name, y.URL, y.KeyFile())
	if !strings.Contains("\n"+more, "\ninit:") {
		text += "init: none\n"
	}
	return text + more
}

// Machine is the definition of a toy that can be started.
func (y *Toy) Machine(name, more string) string {
	return y.Definition(name, "init: /sbin/toy-init\n"+more)
}

// Write writes a definition into a folder.
func Write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// toyBase is the essential set in one package called dpkg.
func toyBase(t testing.TB) archivetest.Deb {
	t.Helper()
	d := archivetest.Deb{
		Name: "dpkg", Version: "1.99", Architecture: runtime.GOARCH, Essential: true, Priority: "required", Compression: "none",
		Files: map[string]string{
			"/etc/passwd":         "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
			"/etc/group":          "root:x:0:\nnogroup:x:65534:\n",
			"/usr/sbin/toy-init":  toyInit,
			"/root/.keep":         "",
			"/etc/debian_version": "13\n",
			"/usr/lib/os-release": "ID=debian\nVERSION_CODENAME=trixie\n",
		},
		Modes: map[string]int64{"/usr/sbin/toy-init": 0o755},
	}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		d.Entries = append(d.Entries, tar.Header{Name: "./" + name, Typeflag: tar.TypeSymlink, Linkname: "usr/" + name, Mode: 0o777})
	}
	for _, name := range toyPrograms {
		path, err := exec.LookPath(name)
		if err != nil {
			path, err = exec.LookPath("/usr/sbin/" + name)
		}
		if err != nil {
			path, err = exec.LookPath("/sbin/" + name)
		}
		if err != nil {
			t.Skipf("the toy archive is made of the host's own programs, and there is no %s here", name)
		}
		addProgram(t, &d, path)
	}
	return d
}

var libraryLine = regexp.MustCompile(`(/[^ ]+) \(0x`)

// addProgram enters a program of the host and its libraries, below /usr.
func addProgram(t testing.TB, d *archivetest.Deb, path string) {
	t.Helper()
	place := "/usr/bin/" + filepath.Base(path)
	if strings.Contains(path, "sbin/") {
		place = "/usr/sbin/" + filepath.Base(path)
	}
	addFile(t, d, path, place)
	out, err := exec.Command("ldd", path).Output()
	if err != nil {
		return // static, or a script
	}
	for _, m := range libraryLine.FindAllStringSubmatch(string(out), -1) {
		addFile(t, d, m[1], "/usr"+strings.TrimPrefix(m[1], "/usr"))
	}
}

func addFile(t testing.TB, d *archivetest.Deb, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	d.Files[to], d.Modes[to] = string(data), 0o755
}
