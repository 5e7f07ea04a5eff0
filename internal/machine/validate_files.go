package machine

import (
	"fmt"
	"path"
	"strings"
)

// files checks each entry of files and that none is given twice.
func (v *validator) files() {
	seen := map[string]int{}
	for i, f := range v.d.Files {
		key := fmt.Sprintf("files.%d", i)
		v.file(key, f)
		if f.Path == "" || f.Folder() {
			continue
		}
		if first, dup := seen[path.Clean(f.Path)]; dup {
			v.at(key+".path", f.Path, fmt.Sprintf("%s is given by entry %d as well", f.Path, first), "keep one of them")
			continue
		}
		seen[path.Clean(f.Path)] = i
	}
}

// file checks which keys fit together.
func (v *validator) file(key string, f File) {
	v.insidePath(key+".path", f.Path)
	if top := volatile(path.Clean(f.Path)); top != "" && f.Path != "" {
		v.at(key+".path", f.Path, fmt.Sprintf("%s is lost, for %s is made at every start", f.Path, top), "")
	}
	_, modeGiven := v.d.positions[key+".mode"]
	switch {
	case f.Folder() && (f.Content != nil || f.Secret != nil || f.Link != ""):
		v.at(key+".path", f.Path, "a path that ends with a slash is a folder, and takes only from", "remove the slash")
	case f.Folder() && f.From != nil && f.From.URL != "":
		v.at(key+".path", f.Path, "a folder cannot come from a url", "name the file")
	case f.Link != "" && modeGiven:
		v.at(key+".mode", f.Mode, "a symbolic link has no mode", "remove it")
	}
	if f.From != nil && !f.Folder() && strings.HasSuffix(f.From.File, "/") {
		v.at(key+".from", f.From.File, "from is a folder and path is not", "end path with a slash")
	}
}

// users checks that accounts differ and agree with themselves.
func (v *validator) users() {
	names, ids := map[string]int{}, map[int]int{}
	for i, u := range v.d.Users {
		key := fmt.Sprintf("users.%d", i)
		if first, dup := names[u.Name]; dup && u.Name != "" {
			v.at(key+".name", u.Name, fmt.Sprintf("user %q is given by entry %d as well", u.Name, first), "merge the entries; an included file's users are dropped by replace: [users]")
		} else {
			names[u.Name] = i
		}
		if u.UID != nil {
			if first, dup := ids[*u.UID]; dup {
				v.at(key+".uid", fmt.Sprint(*u.UID), fmt.Sprintf("uid %d is that of entry %d as well", *u.UID, first), "")
			}
			ids[*u.UID] = i
		}
		v.user(key, u)
	}
}

// user checks one account.
func (v *validator) user(key string, u User) {
	v.insidePath(key+".home", u.Home)
	v.insidePath(key+".shell", u.Shell)
	if u.Name == "root" && u.UID != nil && *u.UID != 0 {
		v.at(key+".uid", "", "root has uid 0", "remove it")
	}
	if u.Name != "root" && u.Name != "" && u.UID != nil && *u.UID == 0 {
		v.at(key+".uid", "0", "uid 0 is root's", "choose another or use sudo")
	}
	if u.Sudo == "password" && u.Password == nil {
		v.at(key+".sudo", u.Sudo, "sudo asks for a password, and the account has none", "add password, or write sudo: nopasswd")
	}
	for i, k := range u.SSHKeys {
		if strings.HasPrefix(k, "ssh-") && !IsLiteralKey(k) {
			v.at(fmt.Sprintf("%s.ssh_keys.%d", key, i), "", "this begins like a public key and is none", "a key is: type, base64, comment")
		}
	}
}
