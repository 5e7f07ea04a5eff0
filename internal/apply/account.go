package apply

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// database is one of passwd, group, shadow and gshadow: lines of fields. Lines
// that are not understood (comments, NIS) are kept as they are.
type database struct {
	path    string
	lines   [][]string
	present bool
}

// readDatabase reads an account file; an absent one is empty.
func (r *root) readDatabase(name string) (*database, error) {
	data, err := r.readFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return &database{path: name}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseDatabase(name, data), nil
}

func parseDatabase(name string, data []byte) *database {
	db := &database{path: name, present: true}
	for _, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		db.lines = append(db.lines, strings.Split(line, ":"))
	}
	if len(data) == 0 {
		db.lines = nil
	}
	return db
}

func (db *database) bytes() []byte {
	var b strings.Builder
	for _, fields := range db.lines {
		b.WriteString(strings.Join(fields, ":"))
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// find returns the fields of a name, at least n of them; nil if it is not there.
func (db *database) find(name string, n int) []string {
	for _, fields := range db.lines {
		if fields[0] == name && len(fields) >= n {
			return fields
		}
	}
	return nil
}

func (db *database) add(fields ...string) { db.lines = append(db.lines, fields) }

func (db *database) names() []string {
	var names []string
	for _, fields := range db.lines {
		if len(fields) > 2 {
			names = append(names, fields[0])
		}
	}
	return names
}

// byID finds the fields with a number in the third field.
func (db *database) byID(id int) []string {
	want := strconv.Itoa(id)
	for _, fields := range db.lines {
		if len(fields) > 2 && fields[2] == want {
			return fields
		}
	}
	return nil
}

// join adds a member to the list in a field.
func join(fields []string, at int, member string) {
	for _, m := range strings.Split(fields[at], ",") {
		if m == member {
			return
		}
	}
	if fields[at] != "" {
		fields[at] += ","
	}
	fields[at] += member
}

// owner resolves "user", "user:group" or ":group", names or numbers, against
// the tree. A user alone means its login group too; nothing means root:root.
func (j *job) owner(s string) (uid, gid int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	user, group, both := strings.Cut(s, ":")
	if user != "" {
		if uid, gid, err = j.lookupUser(user); err != nil {
			return 0, 0, err
		}
	}
	if both && group != "" {
		gid, err = j.lookupGroup(group)
	}
	return uid, gid, err
}

func (j *job) lookupUser(name string) (uid, gid int, err error) {
	db, err := j.readDatabase("/etc/passwd")
	if err != nil {
		return 0, 0, err
	}
	fields := db.find(name, 7)
	if fields == nil {
		id, err := strconv.Atoi(name)
		if err != nil || id < 0 {
			return 0, 0, fmt.Errorf("the machine has no user %q%s", name, hint(name, db.names()))
		}
		if fields = db.byID(id); fields == nil {
			return id, 0, nil
		}
	}
	if uid, err = strconv.Atoi(fields[2]); err == nil {
		gid, err = strconv.Atoi(fields[3])
	}
	if err != nil {
		return 0, 0, fmt.Errorf("reading the ids of %s in /etc/passwd: %w", name, err)
	}
	return uid, gid, nil
}

func (j *job) lookupGroup(name string) (int, error) {
	db, err := j.readDatabase("/etc/group")
	if err != nil {
		return 0, err
	}
	text := name
	if fields := db.find(name, 4); fields != nil {
		text = fields[2]
	}
	gid, err := strconv.Atoi(text)
	if err != nil || gid < 0 {
		return 0, fmt.Errorf("the machine has no group %q%s", name, hint(name, db.names()))
	}
	return gid, nil
}
