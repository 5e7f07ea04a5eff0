package cloud

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"slipway/internal/machine"
)

// userData is the part of cloud-config that definitions need. It is written as
// JSON, which is YAML as well.
type userData struct {
	Hostname       string     `json:"hostname"`
	ManageEtcHosts string     `json:"manage_etc_hosts"`
	DisableRoot    bool       `json:"disable_root"`
	PasswordLogins bool       `json:"ssh_pwauth"`
	DeleteHostKeys bool       `json:"ssh_deletekeys"`
	HostKeys       *hostKeys  `json:"ssh_keys,omitempty"`
	AuthorizedKeys []string   `json:"ssh_authorized_keys,omitempty"`
	Users          []any      `json:"users"`
	Timezone       string     `json:"timezone,omitempty"`
	Locale         string     `json:"locale,omitempty"`
	Mounts         [][]string `json:"mounts,omitempty"`
	WriteFiles     []file     `json:"write_files,omitempty"`
	Run            [][]string `json:"runcmd,omitempty"`
	Update         bool       `json:"package_update,omitempty"`
	Packages       []string   `json:"packages,omitempty"`
	Report         *report    `json:"phone_home,omitempty"`
}

// report is a POST when all is done.
type report struct {
	URL   string   `json:"url"`
	Post  []string `json:"post"`
	Tries int      `json:"tries"`
}

type hostKeys struct {
	Private string `json:"ed25519_private"`
	Public  string `json:"ed25519_public"`
}

type user struct {
	Name           string   `json:"name"`
	UID            *int     `json:"uid,omitempty"`
	Comment        string   `json:"gecos,omitempty"`
	Group          string   `json:"primary_group,omitempty"`
	Groups         []string `json:"groups,omitempty"`
	Home           string   `json:"homedir,omitempty"`
	Shell          string   `json:"shell,omitempty"`
	System         bool     `json:"system,omitempty"`
	Sudo           string   `json:"sudo,omitempty"`
	AuthorizedKeys []string `json:"ssh_authorized_keys,omitempty"`
	Password       string   `json:"hashed_passwd,omitempty"`
	Locked         bool     `json:"lock_passwd"`
}

type file struct {
	Path        string `json:"path"`
	Encoding    string `json:"encoding"`
	Content     string `json:"content"`
	Owner       string `json:"owner,omitempty"`
	Permissions string `json:"permissions,omitempty"`
	Defer       bool   `json:"defer"` // until the users are there
}

// maxFiles bounds what files bring, in bytes: cloud-init keeps all of it in
// memory several times.
const maxFiles = 8 << 20

// render makes the user data.
func render(d *machine.Definition, in Input) ([]byte, error) {
	u := userData{
		Hostname: in.Hostname, ManageEtcHosts: "localhost", DeleteHostKeys: true,
		Timezone: d.Timezone, Locale: d.Locale, Packages: d.Packages, Update: len(d.Packages) > 0,
	}
	if in.HostKey != (HostKey{}) {
		u.HostKeys = &hostKeys{in.HostKey.Private, in.HostKey.Public}
	}
	if in.Key != "" {
		u.AuthorizedKeys = []string{in.Key}
	}
	if in.Report != "" {
		u.Report = &report{in.Report, []string{"instance_id", "hostname"}, 5}
	}
	var err error
	if u.Users, err = users(d, in.Key); err != nil {
		return nil, err
	}
	if u.WriteFiles, u.Run, err = files(d); err != nil {
		return nil, err
	}
	for _, m := range d.Mounts {
		u.Mounts = append(u.Mounts, []string{m.What, m.Where, or(m.Type, "auto"), or(m.Options, "defaults"), "0", "0"})
	}
	for _, s := range d.Services.Enable {
		u.Run = append(u.Run, []string{"systemctl", "enable", "--now", s})
	}
	for _, s := range d.Services.Disable {
		u.Run = append(u.Run, []string{"systemctl", "disable", "--now", s})
	}
	for _, c := range d.Run {
		u.Run = append(u.Run, []string{"/bin/sh", "-c", c.Command})
	}
	var out bytes.Buffer
	out.WriteString("#cloud-config\n")
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err = enc.Encode(u)
	return out.Bytes(), err
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// users are those of the definition alone, each with slipway's own key; without any the image's own default
// user is kept.
func users(d *machine.Definition, own string) ([]any, error) {
	if len(d.Users) == 0 {
		return []any{"default"}, nil
	}
	var out []any
	for i, u := range d.Users {
		c := user{
			Name: u.Name, UID: u.UID, Comment: u.Comment, Group: u.Group, Groups: u.Groups, Home: u.Home, Shell: u.Shell,
			System: u.System, Locked: u.Password == nil,
		}
		if !u.System && own != "" {
			c.AuthorizedKeys = []string{own}
		}
		if c.Shell == "" && !u.System {
			c.Shell = "/bin/bash"
		}
		switch u.Sudo {
		case "nopasswd":
			c.Sudo = "ALL=(ALL:ALL) NOPASSWD:ALL"
		case "password":
			c.Sudo = "ALL=(ALL:ALL) ALL"
		}
		for _, key := range u.SSHKeys {
			line, err := PublicKeys(key)
			if err != nil {
				return nil, fmt.Errorf("%s: reading an ssh key of user %s: %w", d.At(fmt.Sprintf("users.%d", i)), u.Name, err)
			}
			c.AuthorizedKeys = append(c.AuthorizedKeys, line...)
		}
		if u.Password != nil {
			hash, err := Secret(machine.Secret{File: u.Password.HashFile, Env: u.Password.HashEnv})
			if err != nil {
				return nil, fmt.Errorf("%s: reading the password of user %s: %w", d.At(fmt.Sprintf("users.%d", i)), u.Name, err)
			}
			c.Password = strings.TrimSpace(string(hash))
		}
		out = append(out, c)
	}
	return out, nil
}

// PublicKeys reads the lines of a key file, or takes the key itself.
func PublicKeys(key string) ([]string, error) {
	if !filepath.IsAbs(key) {
		return []string{key}, nil
	}
	data, err := os.ReadFile(key)
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out, nil
}

// Secret reads a value that stands outside the definition.
func Secret(s machine.Secret) ([]byte, error) {
	if s.Env != "" {
		value, ok := os.LookupEnv(s.Env)
		if !ok {
			return nil, fmt.Errorf("the environment has no %s", s.Env)
		}
		return []byte(value), nil
	}
	return os.ReadFile(s.File)
}

// files are contents, and the commands that make links.
func files(d *machine.Definition) (out []file, run [][]string, err error) {
	left := maxFiles
	for i, f := range d.Files {
		at := d.At(fmt.Sprintf("files.%d", i))
		if f.Link != "" {
			run = append(run, []string{"mkdir", "-p", path.Dir(path.Clean(f.Path))}, []string{"ln", "-sfn", f.Link, path.Clean(f.Path)})
			continue
		}
		if f.Folder() {
			return nil, nil, fmt.Errorf("%s: %s: a stock image gets files, not folders: name each, or use shares", at, f.Path)
		}
		data, err := Content(f)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: reading the content of %s: %w", at, f.Path, err)
		}
		if left -= len(data); left < 0 {
			return nil, nil, fmt.Errorf("%s: the files have more than %d MiB: bring them on a disk (vm.disks) or in a share", at, maxFiles>>20)
		}
		mode := f.Mode
		if mode == "" && f.Secret != nil {
			mode = "0600"
		}
		out = append(out, file{
			Path: f.Path, Encoding: "b64", Content: base64.StdEncoding.EncodeToString(data),
			Owner: or(f.Owner, "root:root"), Permissions: or(mode, "0644"), Defer: true,
		})
	}
	return out, run, nil
}

// Content is the content of a file of the definition.
func Content(f machine.File) ([]byte, error) {
	switch {
	case f.Content != nil:
		return []byte(*f.Content), nil
	case f.Secret != nil:
		return Secret(*f.Secret)
	case f.From != nil && f.From.File != "":
		return os.ReadFile(f.From.File)
	}
	return nil, nil
}
