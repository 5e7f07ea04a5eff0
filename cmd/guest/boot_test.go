package main

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"

	"slipway/internal/bootfiles/blockid"
	"slipway/internal/bootfiles/cmdline"
	"slipway/internal/bootfiles/ptable"

	"golang.org/x/sys/unix"
)

func TestSplitSpec(t *testing.T) {
	for _, c := range []struct{ spec, key, value string }{
		{"UUID=12-34", "UUID", "12-34"}, {"LABEL=a=b", "LABEL", "a=b"}, {"PARTUUID=x-01", "PARTUUID", "x-01"}, {"PARTLABEL=root", "PARTLABEL", "root"},
		{"/dev/vda2", "DEV", "vda2"}, {"/dev/cciss/c0d0p1", "DEV", "cciss/c0d0p1"}, {"/dev/disk/by-label/root", "LABEL", "root"},
		{"/dev/disk/by-partuuid/x", "PARTUUID", "x"},
	} {
		key, value, err := splitSpec(c.spec)
		if err != nil || key != c.key || value != c.value {
			t.Errorf("%s: %s, %s, %v", c.spec, key, value, err)
		}
	}
	for _, bad := range []string{"vda", "ID=x", "nfs:server"} {
		if _, _, err := splitSpec(bad); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestDeviceMatches(t *testing.T) {
	d := &blockDevice{name: "vda2", isPart: true, part: ptable.Part{UUID: "abcd-02", Name: "root"}, info: blockid.Info{Type: "ext4", UUID: "12", Label: "system"}, size: 3 << 20}
	for _, c := range []struct {
		key, value string
		want       bool
	}{
		{"DEV", "vda2", true}, {"DEV", "vda", false}, {"PARTUUID", "ABCD-02", true}, {"PARTUUID", "", false}, {"PARTLABEL", "root", true},
		{"PARTLABEL", "Root", false}, {"UUID", "12", true}, {"LABEL", "system", true}, {"LABEL", "root", false},
	} {
		if got := d.matches(c.key, c.value); got != c.want {
			t.Errorf("%s=%s: %v", c.key, c.value, got)
		}
	}
	list := blockCache{"vda2": d}.list()
	if want := "/dev/vda2 (3 MiB, ext4, UUID=12, LABEL=system, PARTUUID=abcd-02, PARTLABEL=root)"; list != want {
		t.Errorf("got %s, want %s", list, want)
	}
	if !strings.Contains(blockCache{}.list(), "no block devices at all") {
		t.Error("a machine without disks is not told so")
	}
}

func TestSplitOptions(t *testing.T) {
	flags, data := splitOptions("noatime,subvol=@,ro,,compress=zstd,defaults")
	if flags != unix.MS_NOATIME|unix.MS_RDONLY || data != "subvol=@,compress=zstd" {
		t.Errorf("flags %#x, data %q", flags, data)
	}
}

func TestWishes(t *testing.T) {
	b := &booter{line: cmdline.Parse("rw ro rootfstype=erofs rootflags=x slipway.overlay=tmpfs,size=30%")}
	if got, want := b.wishes(), (rootMount{kind: "erofs", readOnly: true, options: "x", overlay: true, size: "30%"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestModalias(t *testing.T) {
	for message, want := range map[string]string{
		"add@/devices/x\x00ACTION=add\x00MODALIAS=virtio:d2\x00SEQNUM=1\x00": "virtio:d2",
		"remove@/devices/x\x00MODALIAS=virtio:d2\x00":                        "",
		"add@/block/vda\x00SUBSYSTEM=block\x00":                              "",
		"":                                                                   "",
		"libudev\x00\xfe\xed":                                                "",
	} {
		if got := modalias([]byte(message)); got != want {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}

func TestNetlinkMessage(t *testing.T) {
	m := newMessage(unix.RTM_NEWLINK, unix.NLM_F_CREATE)
	m.bytes(1, 2)
	m.attr(3, []byte("lab0\x00"))
	want := order.AppendUint32(nil, 0)
	want = order.AppendUint16(want, unix.RTM_NEWLINK)
	want = order.AppendUint16(want, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE)
	want = append(want, make([]byte, 8)...)
	want = append(want, 1, 2)
	want = order.AppendUint16(want, 9)
	want = order.AppendUint16(want, 3)
	want = append(want, "lab0\x00\x00\x00\x00"...)
	if !bytes.Equal(m.b, want) {
		t.Errorf("got %x, want %x", m.b, want)
	}
}

func TestXZReader(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz to compress with")
	}
	content := bytes.Repeat([]byte("a kernel module, "), 40000)
	for _, args := range [][]string{{"--check=crc32", "--lzma2=dict=1MiB"}, {"--check=crc64"}, {"--check=none"}, {"--block-size=65536", "-T1"}, {"-T4", "--block-size=100000"}} {
		cmd := exec.Command("xz", append([]string{"-c"}, args...)...)
		cmd.Stdin = bytes.NewReader(content)
		packed, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		r, err := newXZReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%v: %d bytes, %v", args, len(got), err)
		}
		if r, err = newXZReader(bytes.NewReader(packed[:len(packed)/2])); err == nil {
			_, err = io.ReadAll(r)
		}
		if err == nil {
			t.Errorf("%v: half a file was read without error", args)
		}
	}
	if _, err := newXZReader(strings.NewReader("this is plain text")); err == nil {
		t.Error("plain text is no xz file")
	}
}

func FuzzXZReader(f *testing.F) {
	f.Add([]byte("\xfd7zXZ\x00\x00\x01\x69\x22\xde\x36\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3\x01\x00\x00x\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := newXZReader(bytes.NewReader(b)); err == nil {
			io.CopyN(io.Discard, r, 16<<20)
		}
	})
}
