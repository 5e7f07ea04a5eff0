package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"slipway/internal/bootfiles/entries"
)

// addLogins lets people log in where the kernel's consoles are. systemd finds
// them by itself (systemd-getty-generator(8)) and keeps their rate; the inits
// that read an inittab are told.
func (a *assembly) addLogins(context.Context) error {
	var line func(c entries.Console) string
	switch init := a.Definition.InitSystem(); {
	case init == "openrc" && a.Definition.Family() == "apk":
		line = busyboxLine // OpenRC is started by busybox's init there
	case init == "openrc":
		line = sysvLine
	case init == "busybox":
		line = busyboxLine
	default:
		return a.addSecure()
	}
	old, err := a.read("etc/inittab", 1<<20)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	text := string(old)
	if text == "" && a.Definition.Init == "busybox" {
		text = a.busyboxTable()
	}
	for _, c := range a.terminals() {
		if !strings.Contains(text, "getty") || !mentions(text, c.Device) {
			text = ended(text) + line(c)
		}
	}
	a.root.file("etc/inittab", 0o644, []byte(text))
	return a.addSecure()
}

// terminals are the consoles to log in on. tty0 is whichever is shown; its
// login is on the first.
func (a *assembly) terminals() []entries.Console {
	var out []entries.Console
	for _, text := range a.Definition.Consoles() {
		c := entries.ParseConsole(text)
		if c.Device == "tty0" {
			c.Device, c.Unit = "tty1", 1
		}
		if c.Speed == 0 {
			c.Speed = 115200
		}
		out = append(out, c)
	}
	return out
}

// mentions tells whether a line that counts names a terminal.
func mentions(table, device string) bool {
	for l := range strings.Lines(table) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "#") {
			continue
		}
		for _, f := range strings.FieldsFunc(l, func(r rune) bool { return r == ':' || r == ' ' || r == '\t' || r == '/' }) {
			if f == device {
				return true
			}
		}
	}
	return false
}

// sysvLine is a line of sysvinit's inittab(5); the id has four characters at
// most.
func sysvLine(c entries.Console) string {
	id := strings.TrimPrefix(c.Device, "tty")
	if len(id) > 4 {
		id = id[len(id)-4:]
	}
	return fmt.Sprintf("%s:2345:respawn:/sbin/getty -L %s %d vt100\n", id, c.Device, c.Speed)
}

func busyboxLine(c entries.Console) string {
	return fmt.Sprintf("%s::respawn:/sbin/getty -L %s %d vt100\n", c.Device, c.Device, c.Speed)
}

// busyboxTable is what busybox does without a table, but for its shells.
func (a *assembly) busyboxTable() string {
	text := "::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r\n::restart:/sbin/init\n"
	if a.fs.Resolve("etc/init.d/rcS") != nil {
		text = "::sysinit:/etc/init.d/rcS\n" + text
	}
	return text
}

// addSecure names the consoles as ones where root may log in, if the machine
// asks that at all.
func (a *assembly) addSecure() error {
	old, err := a.read("etc/securetty", 1<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text := string(old)
	for _, c := range a.terminals() {
		if !mentions(text, c.Device) {
			text = ended(text) + c.Device + "\n"
		}
	}
	a.root.file("etc/securetty", 0o644, []byte(text))
	return nil
}

func ended(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}
