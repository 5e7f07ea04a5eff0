package apply

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"

	"slipway/internal/machine"
)

// userName is what useradd accepts, as POSIX and Debian recommend it.
var userName = regexp.MustCompile(`^[a-z_][a-z0-9_.-]{0,30}\$?$`)

// applyUsers makes the accounts, or changes those that are there.
func applyUsers(_ context.Context, j *job) error {
	if len(j.def.Users) == 0 {
		return nil
	}
	a, err := j.readAccounts()
	if err != nil {
		return err
	}
	var made []account
	for _, u := range j.def.Users {
		acc, err := j.ensureUser(a, u)
		if err != nil {
			return fmt.Errorf("%suser %s: %w", at(u.Pos), u.Name, err)
		}
		made = append(made, acc)
	}
	if err := a.write(j.root); err != nil {
		return err
	}
	for _, acc := range made {
		if err := j.furnish(acc); err != nil {
			return fmt.Errorf("%suser %s: %w", at(acc.user.Pos), acc.user.Name, err)
		}
	}
	return nil
}

// account is a user of the definition as it is in the tree.
type account struct {
	user     machine.User
	uid, gid int
	home     string
	isNew    bool
}

// ensureUser makes sure that the account files have the user as defined.
func (j *job) ensureUser(a *accounts, u machine.User) (account, error) {
	if !userName.MatchString(u.Name) {
		return account{}, errors.New("the name is not one that a Linux system accepts (lower-case letters, digits, _ and -)")
	}
	if u.Shell != "" && !j.exists(u.Shell) {
		return account{}, fmt.Errorf("the machine has no shell %s; add its package", u.Shell)
	}
	acc, err := j.oldOrNew(a, u)
	if err != nil {
		return acc, err
	}
	for _, group := range u.Groups {
		if err := a.addMember(group, u.Name); err != nil {
			return acc, err
		}
	}
	return acc, nil
}

func (j *job) oldOrNew(a *accounts, u machine.User) (account, error) {
	if fields := a.passwd.find(u.Name, 7); fields != nil {
		return changeUser(a, u, fields)
	}
	return j.addUser(a, u)
}

// changeUser changes an account that a package brought.
func changeUser(a *accounts, u machine.User, fields []string) (account, error) {
	uid, err := strconv.Atoi(fields[2])
	if err != nil {
		return account{}, fmt.Errorf("reading its uid: %w", err)
	}
	if u.UID != nil && *u.UID != uid {
		return account{}, fmt.Errorf("it is there already with uid %d, not %d", uid, *u.UID)
	}
	if u.Group != "" {
		group := a.group.find(u.Group, 4)
		if group == nil {
			return account{}, fmt.Errorf("the machine has no group %q%s", u.Group, hint(u.Group, a.group.names()))
		}
		fields[3] = group[2]
	}
	gid, err := strconv.Atoi(fields[3])
	if err != nil {
		return account{}, fmt.Errorf("reading its gid: %w", err)
	}
	set(&fields[4], u.Comment)
	set(&fields[5], u.Home)
	set(&fields[6], u.Shell)
	return account{user: u, uid: uid, gid: gid, home: fields[5]}, nil
}

func set(field *string, value string) {
	if value != "" {
		*field = value
	}
}

// addUser makes a new account, locked.
func (j *job) addUser(a *accounts, u machine.User) (account, error) {
	if strings.ContainsAny(u.Comment+u.Home+u.Shell, ":\n") {
		return account{}, errors.New("comment, home and shell must not contain a colon or a line break")
	}
	uid, err := j.chooseID(a, u)
	if err != nil {
		return account{}, err
	}
	gid, err := primaryGroup(a, u, uid)
	if err != nil {
		return account{}, err
	}
	acc := account{user: u, uid: uid, gid: gid, home: u.Home, isNew: true}
	if acc.home == "" {
		acc.home = defaultHome(u)
	}
	a.passwd.add(u.Name, "x", strconv.Itoa(uid), strconv.Itoa(gid), u.Comment, acc.home, j.shell(u))
	a.shadow.add(j.shadowFields(u)...)
	return acc, nil
}

func (j *job) chooseID(a *accounts, u machine.User) (int, error) {
	if u.UID != nil {
		if other := a.passwd.byID(*u.UID); other != nil {
			return 0, fmt.Errorf("uid %d is taken by %s", *u.UID, other[0])
		}
		return *u.UID, nil
	}
	if id, ok := j.env.IDs[u.Name]; ok && a.passwd.byID(id) == nil {
		return id, nil
	}
	return a.newID(u.System)
}

// primaryGroup is the named group, or a new one of the user's own name.
func primaryGroup(a *accounts, u machine.User, uid int) (int, error) {
	name := u.Group
	if name == "" {
		name = u.Name
	}
	if fields := a.group.find(name, 4); fields != nil {
		return strconv.Atoi(fields[2])
	}
	if u.Group != "" && u.Group != u.Name {
		return 0, fmt.Errorf("the machine has no group %q%s", name, hint(name, a.group.names()))
	}
	gid := uid
	if a.group.byID(gid) != nil {
		var err error
		if gid, err = a.newID(u.System); err != nil {
			return 0, err
		}
	}
	a.addGroup(name, gid)
	return gid, nil
}

func defaultHome(u machine.User) string {
	if u.System {
		return "/nonexistent"
	}
	return path.Join("/home", u.Name)
}

// shell is the login shell: the named one, bash where it is there, else sh.
func (j *job) shell(u machine.User) string {
	switch {
	case u.Shell != "":
		return u.Shell
	case u.System && !j.exists("/usr/sbin/nologin") && j.exists("/sbin/nologin"):
		return "/sbin/nologin"
	case u.System:
		return "/usr/sbin/nologin"
	case j.exists("/bin/bash"):
		return "/bin/bash"
	}
	return "/bin/sh"
}

// shadowFields is a locked password, changed last on the day of the lock.
func (j *job) shadowFields(u machine.User) []string {
	day := strconv.FormatInt(j.env.Date/86400, 10)
	if u.System {
		return []string{u.Name, "!", day, "", "", "", "", "", ""}
	}
	none := "!"
	if j.env.Family == "apk" {
		none = "*" // its sshd has no PAM, and takes "!" for a locked account that no key opens
	}
	return []string{u.Name, none, day, "0", "99999", "7", "", "", ""}
}
