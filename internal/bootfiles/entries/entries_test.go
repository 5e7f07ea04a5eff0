package entries

import (
	"slices"
	"strings"
	"testing"
)

func menu() *Menu {
	return &Menu{
		Title: "Debian GNU/Linux 13 (trixie)", Machine: "web", UUID: "0a1b", Timeout: 2,
		Kernels: []Kernel{
			{Version: "6.12.1-amd64", Cmdline: "root=UUID=0a1b rw console=tty0 console=ttyS1,38400n8 dyndbg='file x.c +p'"},
			{Version: "6.1.0", Cmdline: "root=UUID=0a1b rw", NoInitrd: true},
		},
	}
}

func same(t *testing.T, got []byte, want string) {
	t.Helper()
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSystemdBoot(t *testing.T) {
	files := menu().SystemdBoot()
	want := []string{"loader/loader.conf", "loader/entries/web-6.12.1-amd64.conf", "loader/entries/web-6.1.0.conf"}
	for i, f := range files {
		if f.Path != want[i] || !f.ESP {
			t.Errorf("file %d is %s, want %s on the ESP", i, f.Path, want[i])
		}
	}
	same(t, files[0].Data, "timeout 2\ndefault web-*\nconsole-mode keep\neditor yes\n")
	same(t, files[1].Data, `title Debian GNU/Linux 13 (trixie), 6.12.1-amd64
version 6.12.1-amd64
sort-key web
linux /web/6.12.1-amd64/linux
initrd /web/6.12.1-amd64/initrd.img
options root=UUID=0a1b rw console=tty0 console=ttyS1,38400n8 dyndbg='file x.c +p'
`)
	if strings.Contains(string(files[2].Data), "initrd") {
		t.Error("a kernel without initramfs names one")
	}
}

func TestDefault(t *testing.T) {
	m := menu()
	m.Default = "6.1.0"
	if got := string(m.SystemdBoot()[0].Data); !strings.Contains(got, "\ndefault web-6.1.0.conf\n") {
		t.Errorf("got %s", got)
	}
	files, err := m.Files("uki")
	if err != nil || len(files) != 1 || !strings.Contains(string(files[0].Data), "\ndefault web-6.1.0.efi\n") {
		t.Errorf("got %v, %v", files, err)
	}
	if got := string(m.GRUB().Data); !strings.Contains(got, "\nset default=6.1.0\n") {
		t.Errorf("got %s", got)
	}
	if _, err := m.Files("lilo"); err == nil || !strings.Contains(err.Error(), `"lilo" is unknown`) {
		t.Errorf("got %v", err)
	}
}

func TestGRUB(t *testing.T) {
	f := menu().GRUB()
	if f.Path != "boot/grub/grub.cfg" || f.ESP {
		t.Errorf("it is %+v", f)
	}
	same(t, f.Data, `# Written by slipway; its kernel hook writes it anew when kernels come and go.
if serial --unit=1 --speed=38400 --word=8 --parity=no --stop=1; then
	terminal_input console serial
	terminal_output console serial
fi
set default=6.12.1-amd64
set timeout=2
search --no-floppy --fs-uuid --set=root 0a1b
menuentry 'Debian GNU/Linux 13 (trixie), 6.12.1-amd64' --id 6.12.1-amd64 {
	linux /boot/vmlinuz-6.12.1-amd64 root=UUID=0a1b rw console=tty0 console=ttyS1,38400n8 'dyndbg='\''file' x.c '+p'\'''
	initrd /boot/initrd.img-6.12.1-amd64
}
menuentry 'Debian GNU/Linux 13 (trixie), 6.1.0' --id 6.1.0 {
	linux /boot/vmlinuz-6.1.0 root=UUID=0a1b rw
}
`)
}

func TestExtlinux(t *testing.T) {
	m := menu()
	m.FDTDir = "/usr/lib/linux-image-VERSION"
	same(t, m.Extlinux().Data, `TIMEOUT 20
PROMPT 1
DEFAULT 6.12.1-amd64

LABEL 6.12.1-amd64
	MENU LABEL Debian GNU/Linux 13 (trixie), 6.12.1-amd64
	KERNEL /boot/vmlinuz-6.12.1-amd64
	INITRD /boot/initrd.img-6.12.1-amd64
	FDTDIR /usr/lib/linux-image-6.12.1-amd64
	APPEND root=UUID=0a1b rw console=tty0 console=ttyS1,38400n8 dyndbg='file x.c +p'

LABEL 6.1.0
	MENU LABEL Debian GNU/Linux 13 (trixie), 6.1.0
	KERNEL /boot/vmlinuz-6.1.0
	FDTDIR /usr/lib/linux-image-6.1.0
	APPEND root=UUID=0a1b rw
`)
	m.Timeout = 0 // waits for ever in u-boot
	if got := string(m.Extlinux().Data); strings.Contains(got, "TIMEOUT") || !strings.HasPrefix(got, "PROMPT 0\n") {
		t.Errorf("without a timeout: %s", got)
	}
}

func TestPlaces(t *testing.T) {
	for _, c := range []struct{ place, dir, config, kernel string }{
		{InRoot, "/boot/grub", "boot/grub/grub.cfg", "/boot/vmlinuz-6.1.0"},
		{InBoot, "/grub", "boot/grub/grub.cfg", "/vmlinuz-6.1.0"},
		{InESP, "/grub", "grub/grub.cfg", "/web/6.1.0/linux"},
	} {
		m := menu()
		m.Place = c.place
		f := m.GRUB()
		if m.GrubDir() != c.dir || f.Path != c.config || f.ESP != (c.place == InESP) || !strings.Contains(string(f.Data), "linux "+c.kernel+" ") {
			t.Errorf("%s: folder %s, %s\n%s", c.place, m.GrubDir(), f.Path, f.Data)
		}
		if x := m.Extlinux(); x.ESP != f.ESP || !strings.Contains(string(x.Data), "KERNEL "+c.kernel+"\n") {
			t.Errorf("%s: extlinux %s\n%s", c.place, x.Path, x.Data)
		}
	}
}

func TestConsoles(t *testing.T) {
	for text, want := range map[string]Console{
		"ttyS0,115200":    {Device: "ttyS0", Speed: 115200, Serial: true},
		"ttyS12,9600n8":   {Device: "ttyS12", Unit: 12, Speed: 9600, Serial: true},
		"tty0":            {Device: "tty0"},
		"hvc0":            {Device: "hvc0"},
		"ttyAML0,115200":  {Device: "ttyAML0", Speed: 115200},
		"ttyUSB1,bananas": {Device: "ttyUSB1", Unit: 1},
	} {
		if got := ParseConsole(text); got != want {
			t.Errorf("%s: got %+v, want %+v", text, got, want)
		}
	}
	if got := Consoles("quiet console= console=tty0 xconsole=a"); len(got) != 1 || got[0].Device != "tty0" {
		t.Errorf("got %v", got)
	}
}

// What is rendered is read back the same, whatever the words are.
func TestReadBack(t *testing.T) {
	m := menu()
	m.Title = "It's \"a\" \\title $x {y}"
	m.Kernels[0].Cmdline = `a='b c' "$x" \ {;} & # |`
	want := strings.Join(strings.Fields(m.Kernels[0].Cmdline), " ")
	for name, list := range map[string][]Named{
		"grub": ReadGRUB(string(m.GRUB().Data)), "extlinux": ReadExtlinux(string(m.Extlinux().Data)),
		"systemd-boot": {ReadEntry(string(m.SystemdBoot()[1].Data)), ReadEntry(string(m.SystemdBoot()[2].Data))},
	} {
		if len(list) != 2 || list[0].Line != want || len(list[0].Files) != 2 || len(list[1].Files) != 1 {
			t.Errorf("%s: got %q", name, list)
		}
	}
	if got := ReadGRUB(string(m.GRUB().Data))[0].Title; got != m.Title+", 6.12.1-amd64" {
		t.Errorf("title %q", got)
	}
}

func FuzzRead(f *testing.F) {
	for _, file := range append(menu().SystemdBoot(), menu().GRUB(), menu().Extlinux()) {
		f.Add(string(file.Data))
	}
	f.Add("menuentry 'x' {\n\tlinux\n\tinitrd 'a\\")
	f.Fuzz(func(t *testing.T, text string) {
		lists := [][]Named{{ReadEntry(text)}, ReadExtlinux(text), ReadGRUB(text)}
		for _, n := range slices.Concat(lists...) {
			size := len(n.Title) + len(n.Line)
			for _, name := range append(n.Files, n.Dirs...) {
				size += len(name)
			}
			if size > 2*len(text) {
				t.Errorf("%d bytes were read from %d", size, len(text))
			}
		}
	})
}

// A quoted word is one word again, the same.
func FuzzQuote(f *testing.F) {
	f.Add("a b", "it's")
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsAny(a+b, "\n") {
			return
		}
		got := unquote(quote(a) + " " + quote(b))
		if len(got) != 2 || got[0] != a || got[1] != b {
			t.Errorf("%q and %q became %q", a, b, got)
		}
	})
}

// What is rendered for u-boot is read back the same, whatever a kernel is
// called and whatever stands on its command line: no word of it becomes a line
// of its own, as a label or a file.
func FuzzExtlinux(f *testing.F) {
	f.Add("6.12.1-amd64", "Debian GNU/Linux", "root=/dev/sda1 quiet", "/usr/lib/linux-image-VERSION", 3, uint8(0))
	f.Add("6.6", "a\nb", "a\n\tKERNEL /evil", "/dtbs", -1, uint8(1))
	f.Add("LABEL", " ", "\r", "VERSION", 0, uint8(7))
	f.Fuzz(func(t *testing.T, version, title, cmdline, dir string, timeout int, bits uint8) {
		if version == "" || strings.ContainsFunc(version+dir, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			return // no kernel's name: package boot takes none of them
		}
		places := []string{InRoot, InBoot, InESP}
		m := &Menu{Title: title, Timeout: timeout % 1000, FDTDir: dir, Place: places[int(bits>>1)%3],
			Kernels: []Kernel{{Version: version, Cmdline: cmdline, NoInitrd: bits&1 != 0}, {Version: "1", Cmdline: "quiet"}}}
		text := string(m.Extlinux().Data)
		list := ReadExtlinux(text)
		if len(list) != 2 {
			t.Fatalf("%d labels in:\n%s", len(list), text)
		}
		for i, k := range m.Kernels {
			files := 2
			if k.NoInitrd {
				files = 1
			}
			if got := list[i]; got.Line != strings.Join(strings.Fields(k.Cmdline), " ") || len(got.Files) != files || len(got.Dirs) > 1 || (len(got.Dirs) == 1) != (dir != "") {
				t.Fatalf("kernel %d became %+v in:\n%s", i, got, text)
			}
		}
		if n := strings.Count(text, "\nDEFAULT "); n != 1 {
			t.Fatalf("%d times DEFAULT in:\n%s", n, text)
		}
	})
}
