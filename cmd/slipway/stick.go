package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"slipway/internal/boot"
	"slipway/internal/build"
	"slipway/internal/image"
	"slipway/internal/netboot/node"
	"slipway/internal/plan"
)

// stickFlags are the flags of stick.
type stickFlags struct {
	buildFlags
	out, server, key, ip string
	erase                bool
}

func newStick(env *Env) *cobra.Command {
	var flags stickFlags
	cmd := &cobra.Command{
		Use:   "stick FILE -o OUT.raw",
		Short: "Write a stick that starts or reinstalls a machine",
		Long: `Write a disk image for a USB stick, which starts under UEFI and BIOS.

Without --server it is a recovery stick: it carries the machine and installs it
on the disk that netboot.disk names, with no network at all. By itself it
writes only to a disk that is empty, or that a write left unfinished; its menu
has an entry that erases the disk, and --erase makes that its default. A disk
that it has written once it leaves alone from then on.

With --server it is a boot stick for networks that start nobody: it brings one
network card up (--ip, or DHCP), asks the boot server at that address, and does
what the server's order says. It obeys only orders, kernels and images that the
server's key signed (--key: the file order.key of the server's folder).`,
		Example: `  slipway stick web.yaml -o recovery.raw
  slipway stick node1.yaml -o boot.raw --server http://192.0.2.1/n/TOKEN/ --key fleet/order.key \
      --ip 192.0.2.100::192.0.2.1:255.255.255.0
  slipway write recovery.raw /dev/disk/by-id/usb-Stick_42`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case flags.out == "":
				return usageError("name the image to write: -o OUT.raw")
			case (flags.server == "") != (flags.key == ""):
				return usageError("--server and --key belong together: a stick obeys one key")
			case flags.server == "" && flags.ip != "":
				return usageError("--ip is for a stick that asks a server: add --server")
			case flags.server != "" && flags.erase:
				return usageError("--erase is for a recovery stick; the server decides what another one erases")
			}
			return env.stick(cmd.Context(), args[0], flags)
		},
	}
	cmd.Flags().StringVarP(&flags.out, "output", "o", "", "the image to write, `OUT`")
	cmd.Flags().StringVar(&flags.server, "server", "", "`URL` that the stick asks: http://ADDRESS/n/TOKEN/")
	cmd.Flags().StringVar(&flags.key, "key", "", "`FILE` with the server's key (order.key)")
	cmd.Flags().StringVar(&flags.ip, "ip", "", "fixed `ADDRESS` as the kernel takes it: CLIENT::GATEWAY:NETMASK[:HOST:CARD::DNS] (default: DHCP)")
	cmd.Flags().BoolVar(&flags.erase, "erase", false, "a recovery stick erases the disk without being asked, once")
	flags.add(cmd)
	return profiling(env, cmd)
}

func (e *Env) stick(ctx context.Context, file string, flags stickFlags) error {
	if flags.ip != "" {
		if err := node.CheckIP(flags.ip); err != nil {
			return err
		}
	}
	b, r, err := e.build(ctx, file, flags.buildFlags, plan.Bootable)
	if err != nil {
		return err
	}
	s := &stick{builder: b, result: r, flags: flags}
	prepare := s.recovery
	if flags.server != "" {
		prepare = s.asking
	}
	if err := prepare(ctx); err != nil {
		return err
	}
	laid, err := b.Stick(ctx, r, &s.menu, s.data)
	if err != nil {
		return err
	}
	for _, w := range laid.Boot.Warnings {
		e.reporter().Note(w)
	}
	step := e.reporter().Step("write the stick")
	_, err = image.WriteFile(flags.out, false, func(w io.Writer) error { return laid.Write(ctx, w) })
	step.Done(err)
	if err == nil {
		_, err = fmt.Fprintln(e.Stdout, flags.out)
	}
	return err
}

// stick is one in the making.
type stick struct {
	builder *build.Builder
	result  *build.Result
	flags   stickFlags
	payload node.Payload
	menu    boot.StickMenu
	data    image.Volume
}

func (s *stick) wrap(machine []byte) ([]byte, error) {
	var out bytes.Buffer
	err := node.Initrd(&out, bytes.NewReader(machine), s.payload)
	return out.Bytes(), err
}

// asking makes a stick that asks a server.
func (s *stick) asking(context.Context) error {
	key, err := node.PublicKey(s.flags.key)
	if err != nil {
		return err
	}
	s.payload.Config = node.Config{Key: key, Server: s.flags.server, IP: s.flags.ip}
	s.menu = boot.StickMenu{Wrap: s.wrap, Entries: []boot.StickEntry{
		{Title: "Ask " + s.flags.server, Cmdline: func(m string) string { return node.Cmdline(m, "") }},
	}}
	return nil
}

// recovery makes a stick that carries the machine.
func (s *stick) recovery(ctx context.Context) error {
	d := s.result.Prepared.Definition
	made, err := s.builder.Boot(ctx, s.result, boot.Disk)
	if err != nil {
		return err
	}
	packed, err := node.OpenPacked(ctx, made.Disk)
	if err != nil {
		return err
	}
	var id [16]byte
	rand.Read(id[:]) // never fails
	selector := ""
	if d.Netboot != nil {
		selector = d.Netboot.Disk
	}
	s.data, s.payload.Chunks = packed, packed.List
	s.payload.Config = node.Config{
		Key: base64.StdEncoding.EncodeToString(make([]byte, 32)),
		Offline: &node.Offline{Label: build.StickData, Erase: s.flags.erase, Order: node.Order{
			Machine: d.Name, Do: node.DoInstall, Version: made.Key, Grant: "stick-" + hex.EncodeToString(id[:]), Disk: selector,
			Image: &node.Artefact{List: packed.Digest, Size: packed.Image, Kind: "raw"},
		}},
	}
	s.menu = boot.StickMenu{Wrap: s.wrap, Timeout: 5, Entries: []boot.StickEntry{
		{Title: "Install " + d.Name + map[bool]string{true: ", and erase its disk", false: " on an empty disk"}[s.flags.erase],
			Cmdline: func(m string) string { return node.Cmdline(m, "") }},
	}}
	if !s.flags.erase {
		s.menu.Entries = append(s.menu.Entries, boot.StickEntry{Title: "Erase the disk, and install " + d.Name,
			Cmdline: func(m string) string { return node.Cmdline(m, "", node.WordErase) }})
	}
	return nil
}
