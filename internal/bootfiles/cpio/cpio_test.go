package cpio

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestBytes(t *testing.T) {
	var b bytes.Buffer
	w := NewWriter(&b)
	w.Dir("d", 0o755)
	w.File("d/f", 0o644, []byte("hello"))
	w.Symlink("l", "d/f")
	w.Char("c", 0o600, 5, 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := "070701" + "00000001" + "000041ed" + "00000000" + "00000000" + "00000002" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000" + "d\x00" +
		"070701" + "00000002" + "000081a4" + "00000000" + "00000000" + "00000001" + "00000000" + "00000005" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000004" + "00000000" + "d/f\x00\x00\x00" + "hello\x00\x00\x00" +
		"070701" + "00000003" + "0000a1ff" + "00000000" + "00000000" + "00000001" + "00000000" + "00000003" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000002" + "00000000" + "l\x00" + "d/f\x00" +
		"070701" + "00000004" + "00002180" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000005" + "00000001" + "00000002" + "00000000" + "c\x00" +
		"070701" + "00000000" + "00000000" + "00000000" + "00000000" + "00000001" + "00000000" + "00000000" +
		"00000000" + "00000000" + "00000000" + "00000000" + "0000000b" + "00000000" + "TRAILER!!!\x00\x00\x00\x00"
	if got := b.String(); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestStream(t *testing.T) {
	var a, b bytes.Buffer
	x, y := NewWriter(&a), NewWriter(&b)
	x.File("f", 0o600, []byte("123456789"))
	y.Stream("f", 0o600, 9, strings.NewReader("123456789"))
	x.Close()
	y.Close()
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("a streamed file has other bytes")
	}
	if err := NewWriter(&b).Stream("short", 0o600, 10, strings.NewReader("9")); err == nil || !strings.Contains(err.Error(), "short") {
		t.Errorf("a source that ends early: %v", err)
	}
	if err := NewWriter(&b).Stream("large", 0o600, MaxSize+1, nil); err == nil {
		t.Error("a file of 4 GiB was accepted")
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestErrorsStick(t *testing.T) {
	w := NewWriter(broken{})
	w.Dir("d", 0o755)
	w.File("d/f", 0o644, nil)
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "disk full") {
		t.Errorf("closing: %v", err)
	}
}

func TestAgainstCpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("no cpio to judge the archive")
	}
	var b bytes.Buffer
	w := NewWriter(&b)
	w.Dir("d", 0o755)
	w.File("d/long name with blanks", 0o644, bytes.Repeat([]byte("x"), 4097))
	w.Symlink("l", "d")
	w.Close()
	cmd := exec.Command("cpio", "-tv", "--quiet")
	cmd.Stdin = &b
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "4097") || !strings.Contains(string(out), "l -> d") {
		t.Errorf("cpio says %v:\n%s", err, out)
	}
}
