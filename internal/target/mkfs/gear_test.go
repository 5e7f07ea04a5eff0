package mkfs

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// elfModule is the least that is a kernel module to those who ask what it
// needs: a relocatable ELF file with a section .modinfo.
func elfModule(info string) []byte {
	const names = "\x00.modinfo\x00.shstrtab\x00"
	le := binary.LittleEndian
	b := make([]byte, 64)
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 1)  // relocatable
	le.PutUint16(b[18:], 62) // x86-64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[40:], uint64(64+len(info)+len(names))) // section headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[58:], 64)
	le.PutUint16(b[60:], 3)
	le.PutUint16(b[62:], 2)
	b = append(append(b, info...), names...)
	section := func(name, kind uint32, offset, size int) {
		s := make([]byte, 64)
		le.PutUint32(s, name)
		le.PutUint32(s[4:], kind)
		le.PutUint64(s[24:], uint64(offset))
		le.PutUint64(s[32:], uint64(size))
		b = append(b, s...)
	}
	section(0, 0, 0, 0)
	section(1, 1, 64, len(info))
	section(10, 3, 64+len(info), len(names))
	return b
}

func TestClosure(t *testing.T) {
	dir := t.TempDir()
	for name, info := range map[string]string{
		"fs/btrfs/btrfs.ko": "license=GPL\x00depends=raid6_pq,xor\x00name=btrfs\x00",
		"lib/raid6-pq.ko":   "depends=\x00",
		"lib/xor.ko":        "license=GPL\x00depends=raid6_pq,blk\x00",
		"fs/none.ko":        "depends=absent\x00",
	} {
		file := filepath.Join(dir, "kernel", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, elfModule(info), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "modules.builtin"), []byte("kernel/block/blk.ko\nkernel/virtio-pci.ko\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	k, err := findModules(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := k.closure([]string{"virtio_pci", "btrfs", "xor"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range all {
		names = append(names, m.name)
	}
	if want := []string{"raid6_pq", "xor", "btrfs"}; !slices.Equal(names, want) {
		t.Errorf("loads %q, want %q", names, want)
	}
	for _, name := range []string{"absent", "none"} {
		if _, err := k.closure([]string{name}); err == nil || !strings.Contains(err.Error(), "no module absent") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestLibraries(t *testing.T) {
	needs, err := librariesOf("/", "/bin/ls")
	if err != nil || len(needs) == 0 {
		t.Skipf("this host's programs lie elsewhere than Debian's: %v", err)
	}
	loader, libc := false, false
	for place, file := range needs {
		loader = loader || strings.Contains(place, "/ld-linux")
		libc = libc || strings.HasSuffix(place, "/libc.so.6")
		if st, err := os.Lstat(file); err != nil || !st.Mode().IsRegular() {
			t.Errorf("%s is %s: %v", place, file, err)
		}
	}
	if !loader || !libc {
		t.Errorf("ls needs %v", needs)
	}
	if _, err := librariesOf(t.TempDir(), "/bin/ls"); err == nil {
		t.Error("libraries that are not there are no error")
	}
}

func FuzzHear(f *testing.F) {
	var b bytes.Buffer
	say(&b, sayStage, []byte("one"))
	say(&b, sayAlive, make([]byte, 8))
	say(&b, sayTree, []byte("tree"))
	say(&b, sayDone, nil)
	f.Add(b.Bytes())
	f.Add([]byte("e\x00\x00\x00\x00\x00\x00\x00\x04full"))
	f.Add([]byte("t\x00\x00\x00\x00\x3f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		hear(bytes.NewReader(b), func(_ kind, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
	})
}
