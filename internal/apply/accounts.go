package apply

import (
	"errors"
	"fmt"
	"strconv"
)

// accounts is the four account files of a tree, changed together.
type accounts struct {
	passwd, group, shadow, gshadow *database
}

func (r *root) readAccounts() (*accounts, error) {
	var a accounts
	var errs []error
	for _, f := range []struct {
		db   **database
		name string
	}{{&a.passwd, "/etc/passwd"}, {&a.group, "/etc/group"}, {&a.shadow, "/etc/shadow"}, {&a.gshadow, "/etc/gshadow"}} {
		db, err := r.readDatabase(f.name)
		*f.db, errs = db, append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if !a.passwd.present || !a.group.present {
		return nil, errors.New("the tree has no /etc/passwd or /etc/group: users need a base set that brings them")
	}
	return &a, nil
}

// write writes the files back. Group passwords are kept apart only where the
// distribution does.
func (a *accounts) write(r *root) error {
	errs := []error{
		r.rewrite(a.passwd.path, a.passwd.bytes(), plainFile),
		r.rewrite(a.group.path, a.group.bytes(), plainFile),
		r.rewrite(a.shadow.path, a.shadow.bytes(), attr{mode: 0o640, gid: a.shadowGroup()}),
	}
	if a.gshadow.present {
		errs = append(errs, r.rewrite(a.gshadow.path, a.gshadow.bytes(), attr{mode: 0o640, gid: a.shadowGroup()}))
	}
	return errors.Join(errs...)
}

func (a *accounts) shadowGroup() int {
	if fields := a.group.find("shadow", 4); fields != nil {
		if gid, err := strconv.Atoi(fields[2]); err == nil {
			return gid
		}
	}
	return 0
}

// The ranges of login.defs in Debian, from which new ids are taken.
const (
	firstUser, lastUser     = 1000, 60000
	firstSystem, lastSystem = 100, 999
)

// newID chooses an id that is free as a user's and as a group's: for people
// the one after the highest in use, for the system the highest that is free.
func (a *accounts) newID(system bool) (int, error) {
	if system {
		for id := lastSystem; id >= firstSystem; id-- {
			if a.free(id) {
				return id, nil
			}
		}
		return 0, fmt.Errorf("no id from %d to %d is free", firstSystem, lastSystem)
	}
	next := firstUser
	for _, db := range []*database{a.passwd, a.group} {
		for _, fields := range db.lines {
			if len(fields) < 3 {
				continue
			}
			if id, err := strconv.Atoi(fields[2]); err == nil && id >= next && id < lastUser {
				next = id + 1
			}
		}
	}
	for id := next; id <= lastUser; id++ {
		if a.free(id) {
			return id, nil
		}
	}
	for id := firstUser; id < next; id++ {
		if a.free(id) {
			return id, nil
		}
	}
	return 0, fmt.Errorf("no id from %d to %d is free", firstUser, lastUser)
}

func (a *accounts) free(id int) bool {
	return a.passwd.byID(id) == nil && a.group.byID(id) == nil
}

// addGroup makes a group.
func (a *accounts) addGroup(name string, gid int) {
	a.group.add(name, "x", strconv.Itoa(gid), "")
	if a.gshadow.present {
		a.gshadow.add(name, "!", "", "")
	}
}

// addMember puts a user into a group that is there.
func (a *accounts) addMember(group, user string) error {
	fields := a.group.find(group, 4)
	if fields == nil {
		return fmt.Errorf("the machine has no group %q%s", group, hint(group, a.group.names()))
	}
	join(fields, 3, user)
	if fields := a.gshadow.find(group, 4); fields != nil {
		join(fields, 3, user)
	}
	return nil
}
