package answer

import (
	"bytes"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"slipway/internal/machine"
	"slipway/internal/target/cloud"
)

// ign is the part of Ignition's configuration that definitions need,
// specification 3.3.0 (https://coreos.github.io/ignition/configuration-v3_3/).
type ign struct {
	Ignition struct {
		Version string `json:"version"`
	} `json:"ignition"`
	Passwd struct {
		Users []ignUser `json:"users,omitempty"`
	} `json:"passwd"`
	Storage struct {
		Files []ignFile `json:"files,omitempty"`
		Links []ignLink `json:"links,omitempty"`
	} `json:"storage"`
	Systemd struct {
		Units []ignUnit `json:"units,omitempty"`
	} `json:"systemd"`
	Kernel *ignKernel `json:"kernelArguments,omitempty"`
}

type ignUser struct {
	Name    string   `json:"name"`
	UID     *int     `json:"uid,omitempty"`
	Gecos   string   `json:"gecos,omitempty"`
	Home    string   `json:"homeDir,omitempty"`
	Shell   string   `json:"shell,omitempty"`
	Group   string   `json:"primaryGroup,omitempty"`
	Groups  []string `json:"groups,omitempty"`
	System  bool     `json:"system,omitempty"`
	Hash    string   `json:"passwordHash,omitempty"`
	SSHKeys []string `json:"sshAuthorizedKeys,omitempty"`
}

type ignFile struct {
	Path      string       `json:"path"`
	Overwrite bool         `json:"overwrite"`
	Mode      int          `json:"mode"`
	User      *ignName     `json:"user,omitempty"`
	Group     *ignName     `json:"group,omitempty"`
	Contents  *ignContents `json:"contents"`
}

type ignName struct {
	Name string `json:"name"`
}

type ignContents struct {
	Source string `json:"source"`
	Verify *struct {
		Hash string `json:"hash"`
	} `json:"verification,omitempty"`
}

type ignLink struct {
	Path      string `json:"path"`
	Target    string `json:"target"`
	Overwrite bool   `json:"overwrite"`
	Hard      bool   `json:"hard"`
}

type ignUnit struct {
	Name     string `json:"name"`
	Enabled  *bool  `json:"enabled,omitempty"`
	Contents string `json:"contents,omitempty"`
}

type ignKernel struct {
	ShouldExist []string `json:"shouldExist"`
}

// igniter writes one configuration.
type igniter struct {
	refusals
	f     Facts
	c     ign
	files []File
	err   error
}

// ignition renders for Fedora CoreOS and Flatcar: the first boot of a system
// that is an image, so that packages and partitions are not asked for.
func ignition(d *machine.Definition, f Facts) ([]File, error) {
	g := &igniter{refusals: refusals{d: d, format: "Ignition"}, f: f}
	g.c.Ignition.Version = "3.3.0"
	g.keys("init", "files", "users", "services", "hostname", "timezone", "locale", "sysctl", "mounts", "network", "run", "kernel", "boot", "disk")
	g.cloudless()
	g.put("/etc/hostname", 0o644, []byte(hostname(d)+"\n"))
	if d.Timezone != "" {
		g.c.Storage.Links = append(g.c.Storage.Links, ignLink{Path: "/etc/localtime", Target: "../usr/share/zoneinfo/" + d.Timezone, Overwrite: true})
	}
	for _, part := range []func(){g.users, g.contents, g.sysctl, g.network, g.mounts, g.services, g.run, g.report} {
		part()
	}
	if err := errors.Join(g.err, g.refusals.err()); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(g.c); err != nil {
		return nil, err
	}
	return append([]File{{Name: Ignition.Name(), Type: "application/vnd.coreos.ignition+json", Data: out.Bytes(), Secret: true}}, g.files...), nil
}

// cloudless refuses what an image of CoreOS has already, or never has.
func (g *igniter) cloudless() {
	if len(g.d.Disk.Partitions) > 0 || g.d.Disk.Table != "" {
		g.unable("disk", "the image is laid out already; remove partitions and table")
	}
	if l := g.d.Locale; l != "" && l != "C.UTF-8" {
		g.at("locale", l, "the image has no other locale than C.UTF-8", "remove it")
	}
	for _, k := range g.d.Kernel {
		if k.Package != "auto" && k.Package != "" || k.File != "" || len(k.Modules) > 0 {
			g.unable("kernel", "the image brings its kernel; only cmdline is left")
		}
	}
	if words := kernelWords(g.d); len(words) > 0 {
		g.c.Kernel = &ignKernel{words}
	}
}

// put adds a file of root.
func (g *igniter) put(name string, mode int, data []byte) *ignFile {
	source := "data:;base64," + base64.StdEncoding.EncodeToString(data)
	g.c.Storage.Files = append(g.c.Storage.Files, ignFile{Path: name, Overwrite: true, Mode: mode, Contents: &ignContents{Source: source}})
	return &g.c.Storage.Files[len(g.c.Storage.Files)-1]
}

func (g *igniter) users() {
	for i, u := range g.d.Users {
		hash, err := passwordOf(u)
		keys, keysErr := keysOf(u)
		if err = errors.Join(err, keysErr); err != nil {
			g.err = errors.Join(g.err, fmt.Errorf("%s: user %s: %w", g.d.At(fmt.Sprintf("users.%d", i)), u.Name, err))
		}
		g.c.Passwd.Users = append(g.c.Passwd.Users, ignUser{Name: u.Name, UID: u.UID, Gecos: u.Comment, Home: u.Home, Shell: u.Shell,
			Group: u.Group, Groups: u.Groups, System: u.System, Hash: hash, SSHKeys: keys})
		if rights := sudoRights(u); rights != "" {
			g.put("/etc/sudoers.d/slipway-"+u.Name, 0o440, []byte(u.Name+" "+rights+"\n"))
		}
	}
}

// contents are the definition's files. A secret is fetched from the token's
// address, and checked.
func (g *igniter) contents() {
	for i, f := range g.d.Files {
		key := fmt.Sprintf("files.%d", i)
		name := path.Clean(f.Path)
		if f.Link != "" {
			g.c.Storage.Links = append(g.c.Storage.Links, ignLink{Path: name, Target: f.Link, Overwrite: true})
			continue
		}
		if f.Folder() {
			g.at(key+".path", f.Path, "Ignition writes files, not folders", "name each file")
			continue
		}
		data, err := cloud.Content(f)
		if err != nil {
			g.err = errors.Join(g.err, fmt.Errorf("%s: reading the content of %s: %w", g.d.At(key), f.Path, err))
			continue
		}
		mode, err := strconv.ParseInt(or(f.Mode, "0644"), 8, 32)
		if err != nil {
			g.err = errors.Join(g.err, fmt.Errorf("%s: mode %s: %w", g.d.At(key), f.Mode, err))
		}
		put := g.put(name, int(mode), data)
		if f.Secret != nil {
			sum := sha512.Sum512(data)
			file := File{Name: fmt.Sprintf("file/%d", i), Type: "application/octet-stream", Data: data, Secret: true}
			g.files = append(g.files, file)
			put.Contents = &ignContents{Source: g.f.Base + file.Name}
			put.Contents.Verify = &struct {
				Hash string `json:"hash"`
			}{"sha512-" + hex.EncodeToString(sum[:])}
		}
		if owner, group, _ := strings.Cut(or(f.Owner, "root:root"), ":"); owner != "root" || group != "root" {
			put.User, put.Group = &ignName{owner}, &ignName{group}
		}
	}
}

func (g *igniter) sysctl() {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(g.d.Sysctl)) {
		fmt.Fprintf(&b, "%s = %s\n", k, g.d.Sysctl[k])
	}
	if b.Len() > 0 {
		g.put("/etc/sysctl.d/60-slipway.conf", 0o644, []byte(b.String()))
	}
}

// network writes keyfiles for NetworkManager, and for networkd where that is
// what the system has.
func (g *igniter) network() {
	for i, n := range g.d.Network {
		if n.Bond != nil {
			g.unable(fmt.Sprintf("network.%d.bond", i), "write it with files, below /etc/NetworkManager/system-connections")
			continue
		}
		g.put(fmt.Sprintf("/etc/NetworkManager/system-connections/slipway-%d.nmconnection", i), 0o600, []byte(keyfile(i, n)))
	}
}

// keyfile is nm-settings-keyfile(5) of one item.
func keyfile(i int, n machine.Network) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[connection]\nid=slipway-%d\ntype=ethernet\n\n[match]\ninterface-name=%s\n", i, strings.Join(strings.Fields(n.Match), ";"))
	v4, v6 := gateways(n)
	for _, family := range []struct{ name, gateway string }{{"ipv4", v4}, {"ipv6", v6}} {
		fmt.Fprintf(&b, "\n[%s]\n", family.name)
		count := 0
		for _, a := range n.Address {
			if strings.Contains(a, ":") == (family.name == "ipv6") {
				count++
				fmt.Fprintf(&b, "address%d=%s\n", count, a)
			}
		}
		if family.gateway != "" {
			fmt.Fprintf(&b, "gateway=%s\n", family.gateway)
		}
		var dns []string
		for _, a := range n.DNS {
			if strings.Contains(a, ":") == (family.name == "ipv6") {
				dns = append(dns, a)
			}
		}
		if len(dns) > 0 {
			fmt.Fprintf(&b, "dns=%s\n", strings.Join(dns, ";"))
		}
		switch {
		case n.DHCP:
			b.WriteString("method=auto\n")
		case count > 0:
			b.WriteString("method=manual\n")
		default:
			b.WriteString("method=disabled\n")
		}
	}
	return b.String()
}

// mounts are units, because the system's fstab is not ours.
func (g *igniter) mounts() {
	for i, m := range g.d.Mounts {
		if m.Where == "none" {
			g.unable(fmt.Sprintf("mounts.%d", i), "Ignition has no swap here")
			continue
		}
		text := fmt.Sprintf("[Unit]\nBefore=local-fs.target\n\n[Mount]\nWhat=%s\nWhere=%s\nType=%s\nOptions=%s\n\n[Install]\nRequiredBy=local-fs.target\n",
			m.What, path.Clean(m.Where), or(m.Type, "auto"), or(m.Options, "defaults"))
		g.unit(escapePath(m.Where)+".mount", text)
	}
}

// escapePath is systemd-escape --path.
func escapePath(name string) string {
	name = strings.Trim(path.Clean(name), "/")
	if name == "" {
		return "-"
	}
	var b strings.Builder
	for i, c := range []byte(name) {
		switch {
		case c == '/':
			b.WriteByte('-')
		case c == '.' && i > 0, c == '_', c == ':', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

func (g *igniter) unit(name, contents string) {
	on := true
	g.c.Systemd.Units = append(g.c.Systemd.Units, ignUnit{Name: name, Enabled: &on, Contents: contents})
}

func (g *igniter) services() {
	for on, list := range map[bool][]string{true: g.d.Services.Enable, false: g.d.Services.Disable} {
		for _, s := range list {
			if !strings.Contains(s, ".") {
				s += ".service"
			}
			g.c.Systemd.Units = append(g.c.Systemd.Units, ignUnit{Name: s, Enabled: &on})
		}
	}
	slices.SortStableFunc(g.c.Systemd.Units, func(a, b ignUnit) int { return strings.Compare(a.Name, b.Name) })
}

// run is a unit that runs once, at the first boot.
func (g *igniter) run() {
	if len(g.d.Run) == 0 {
		return
	}
	s := &setup{d: g.d}
	s.line("#!/bin/sh\nset -eu")
	s.run()
	g.put("/etc/slipway/run", 0o755, []byte(s.out.String()))
	g.unit("slipway-run.service", "[Unit]\nConditionPathExists=!/etc/slipway/ran\nAfter=network-online.target\nWants=network-online.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/etc/slipway/run\nExecStart=/usr/bin/touch /etc/slipway/ran\n\n[Install]\nWantedBy=multi-user.target\n")
}

// report is a unit that tells the server that the machine is up.
func (g *igniter) report() {
	if g.f.Report == "" {
		return
	}
	g.put("/etc/slipway/report", 0o755, []byte("#!/bin/sh\n"+report(g.f, curlGet, "installed", g.d.Name)+"\n"))
	g.unit("slipway-report.service", "[Unit]\nAfter=network-online.target slipway-run.service\nWants=network-online.target\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/etc/slipway/report\n\n[Install]\nWantedBy=multi-user.target\n")
}
