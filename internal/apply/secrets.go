package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"slipway/internal/machine"
)

// secretFiles puts the files whose content is a secret, 0600 by default.
func secretFiles(_ context.Context, j *job) error {
	for _, f := range j.def.Files {
		if f.Secret == nil {
			continue
		}
		if err := j.secretFile(f); err != nil {
			return fmt.Errorf("%s%s: %w", at(f.Pos), f.Path, err)
		}
	}
	return nil
}

func (j *job) secretFile(f machine.File) error {
	a, _, err := j.attributes(f, 0o600)
	if err != nil {
		return err
	}
	value, err := j.secret(*f.Secret)
	if err != nil {
		return err
	}
	return j.writeFile(f.Path, bytes.NewReader(value), a)
}

// secret reads a secret's value.
func (j *job) secret(s machine.Secret) ([]byte, error) {
	if j.env.Secret != nil {
		return j.env.Secret(s)
	}
	if s.File != "" {
		data, err := os.ReadFile(s.File)
		if err != nil {
			return nil, fmt.Errorf("reading the secret: %w", err)
		}
		return data, nil
	}
	value, ok := os.LookupEnv(s.Env)
	if !ok {
		return nil, fmt.Errorf("reading the secret: the environment has no %s", s.Env)
	}
	return []byte(value), nil
}

// cryptHash is what crypt(5) accepts with a method prefix; the old DES form is
// refused because a mistyped plain password looks like it.
var cryptHash = regexp.MustCompile(`^\$[0-9a-z]+\$[!-9;-~]+$`)

// passwords sets the password hashes.
func passwords(j *job) error {
	shadow, err := j.readDatabase("/etc/shadow")
	if err != nil {
		return err
	}
	changed := false
	for _, u := range j.def.Users {
		if u.Password == nil {
			continue
		}
		value, err := j.secret(machine.Secret{File: u.Password.HashFile, Env: u.Password.HashEnv})
		if err != nil {
			return fmt.Errorf("%suser %s: %w", at(u.Pos), u.Name, err)
		}
		hash := string(bytes.TrimSpace(value))
		if !cryptHash.MatchString(hash) {
			return fmt.Errorf("%suser %s: the password is no crypt(5) hash; make one with: openssl passwd -6", at(u.Pos), u.Name)
		}
		fields := shadow.find(u.Name, 3)
		if fields == nil {
			return fmt.Errorf("%suser %s: /etc/shadow has no line for it", at(u.Pos), u.Name)
		}
		fields[1], fields[2] = hash, strconv.FormatInt(j.env.Date/86400, 10)
		changed = true
	}
	if !changed {
		return nil
	}
	if !shadow.present {
		return errors.New("the tree has no /etc/shadow")
	}
	return j.rewrite(shadow.path, shadow.bytes(), attr{mode: 0o640})
}
