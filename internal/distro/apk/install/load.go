package install

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"slipway/internal/distro/apk/index"
)

const (
	dbDir         = "lib/apk/db"
	installedFile = dbDir + "/installed"
	scriptsFile   = dbDir + "/scripts.tar"
	triggersFile  = dbDir + "/triggers"
	worldFile     = "etc/apk/world"
)

// load reads the tree's database; a tree without one is empty.
func (in *Installer) load() error {
	data, err := in.root.Read(installedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = in.db.parse(string(data))
	}
	if err != nil {
		return fmt.Errorf("reading /%s: %w", installedFile, err)
	}
	for name, parse := range map[string]func([]byte) error{
		scriptsFile: in.db.parseScripts, triggersFile: in.db.parseTriggers,
		worldFile: func(b []byte) error { in.db.world = string(b); return nil },
	} {
		data, err := in.root.Read(name)
		if err == nil {
			err = parse(data)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("reading /%s: %w", name, err)
		}
	}
	return nil
}

func (db *database) parse(text string) error {
	for len(text) > 0 {
		var block string
		block, text, _ = strings.Cut(text, "\n\n")
		if strings.TrimSpace(block) == "" {
			continue
		}
		if err := db.parseRecord(block); err != nil {
			return err
		}
	}
	return nil
}

// parseRecord reads one package with its folders and files.
func (db *database) parseRecord(block string) error {
	r := &record{scripts: map[string][]byte{}}
	var dir *owned
	var last *file
	p, _, err := index.ParseEntry(block, func(letter byte, value string) (taken bool, err error) {
		switch letter {
		case 'F':
			dir, last = &owned{dir: db.folder(value), pkg: r, acl: plainDir}, nil
			r.dirs = append(r.dirs, dir)
		case 'M':
			if dir == nil {
				return true, errors.New("it belongs to no folder")
			}
			dir.acl, err = parseACL(value)
		case 'R':
			if dir == nil || value == "" || strings.Contains(value, "/") {
				return true, errors.New("it belongs to no folder")
			}
			last = &file{name: value, acl: plainFile, in: dir}
			dir.files = append(dir.files, last)
			db.files[path.Join(dir.dir.path, value)] = last
		case 'a', 'Z':
			if last == nil {
				return true, errors.New("it belongs to no file")
			}
			if letter == 'Z' {
				last.sum = value
			} else {
				last.acl, err = parseACL(value)
			}
		case 'r':
			var more []index.Dependency
			more, err = index.ParseDependencies(value)
			r.replaces = append(r.replaces, more...)
		case 'q':
			r.replacesPriority, err = strconv.Atoi(value)
		case 's':
			r.tag = value
		case 'f':
			r.broken = value
		default:
			return false, nil
		}
		return true, err
	})
	if err != nil {
		return err
	}
	r.Package = p
	for _, d := range r.dirs {
		d.dir.settle(d.acl)
	}
	db.packages = append(db.packages, r)
	return nil
}

// byIdentity finds the package that a line of the other files means.
func (db *database) byIdentity(identity string) *record {
	for _, r := range db.packages {
		if r.Identity == identity {
			return r
		}
	}
	return nil
}

func (db *database) parseTriggers(data []byte) error {
	for line := range bytes.Lines(data) {
		words := strings.Fields(string(line))
		if len(words) == 0 {
			continue
		}
		if r := db.byIdentity(words[0]); r != nil {
			r.triggers = words[1:]
			db.triggers = append(db.triggers, r)
		}
	}
	return nil
}

func (db *database) parseScripts(data []byte) error {
	t := tar.NewReader(bytes.NewReader(data))
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		body, err := io.ReadAll(t)
		if err != nil {
			return err
		}
		parts := strings.Split(h.Name, ".")
		if n := len(parts); n > 2 {
			if r := db.byIdentity(parts[n-2]); r != nil {
				r.scripts[parts[n-1]] = body
			}
		}
	}
}
