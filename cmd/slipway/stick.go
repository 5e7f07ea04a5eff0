package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"

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
	out, server, key, ip, state string
	erase, serve                bool
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

With --serve it is a boot stick for networks that start nobody: it brings one
network card up (--ip, or DHCP), asks the slipway serve of this host, and does
what its order says. It obeys only orders and images that the server's key
signed. Who has the stick is the machine FILE, to the server, until the stick is
revoked (slipway boot sticks). --server and --key name another host's server: the
file order.key of its folder, and an address that it gave.`,
		Example: `  slipway stick web.yaml -o recovery.raw
  slipway stick fleet/node1.yaml -o boot.raw --serve --ip 192.0.2.100::192.0.2.1:255.255.255.0
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
			case flags.serve && flags.server != "":
				return usageError("--serve asks the server of this host, --server another one: leave one out")
			case flags.state != "" && !flags.serve:
				return usageError("--state says which slipway serve of this host is meant: add --serve")
			case flags.server == "" && !flags.serve && flags.ip != "":
				return usageError("--ip is for a stick that asks a server: add --serve or --server")
			case (flags.serve || flags.server != "") && flags.erase:
				return usageError("--erase is for a recovery stick; the server decides what another one erases")
			}
			return env.stick(cmd.Context(), args[0], flags)
		},
	}
	cmd.Flags().StringVarP(&flags.out, "output", "o", "", "the image to write, `OUT`")
	cmd.Flags().StringVar(&flags.server, "server", "", "`URL` that the stick asks: http://ADDRESS/n/TOKEN/")
	cmd.Flags().StringVar(&flags.key, "key", "", "`FILE` with the server's key (order.key)")
	cmd.Flags().BoolVar(&flags.serve, "serve", false, "the stick asks the slipway serve that runs on this host")
	cmd.Flags().StringVar(&flags.state, "state", "", "with --serve: `DIR` of that server's records (default: serve/INTERFACE/records in the store)")
	cmd.Flags().StringVar(&flags.ip, "ip", "", "fixed `ADDRESS` as the kernel takes it: CLIENT::GATEWAY:NETMASK[:HOST:CARD::DNS] (default: DHCP)")
	cmd.Flags().BoolVar(&flags.erase, "erase", false, "a recovery stick erases the disk without being asked, once")
	flags.add(cmd)
	return profiling(env, cmd)
}

func (e *Env) stick(ctx context.Context, file string, flags stickFlags) (err error) {
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
	switch {
	case flags.serve:
		var made newStickAnswer
		if err := e.askServer(ctx, flags.state, http.MethodPost, "/sticks/"+url.PathEscape(r.Prepared.Definition.Name), &made); err != nil {
			return err
		}
		defer func() {
			if err != nil { // nobody has it
				var done struct{}
				e.askServer(context.WithoutCancel(ctx), flags.state, http.MethodDelete, "/sticks/"+made.ID, &done)
			}
		}()
		s.asking(made.Server, made.Key)
	case flags.server != "":
		key, err := node.PublicKey(flags.key)
		if err != nil {
			return err
		}
		s.asking(flags.server, key)
	default:
		if err := s.recovery(ctx); err != nil {
			return err
		}
	}
	laid, err := b.Stick(ctx, r, &s.menu, s.data)
	if err != nil {
		return err
	}
	for _, w := range laid.Boot.Warnings {
		e.reporter().Note(w)
	}
	step := e.reporter().Step("write the stick")
	private := s.payload.Config.Server != "" || len(r.Prepared.Definition.Secrets()) > 0
	_, err = image.WriteFile(flags.out, private, func(w io.Writer) error { return laid.Write(ctx, w) })
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
func (s *stick) asking(server, key string) {
	s.payload.Config = node.Config{Key: key, Server: server, IP: s.flags.ip}
	host := server
	if u, err := url.Parse(server); err == nil {
		host = u.Host // the rest is a secret
	}
	s.menu = boot.StickMenu{Wrap: s.wrap, Entries: []boot.StickEntry{
		{Title: "Ask " + host, Cmdline: func(m string) string { return node.Cmdline(m, "") }},
	}}
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
