package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Credential is one entry of apt_auth.conf(5). It is printed without its
// password.
type Credential struct {
	Scheme   string // "http" or "https"
	Host     string // with the port, if one was given
	Path     string // prefix the address's path must have
	Login    string
	Password string
}

// String hides the secret, so that no log can show it.
func (c Credential) String() string {
	return fmt.Sprintf("credentials for %s://%s%s", c.Scheme, c.Host, c.Path)
}

// GoString hides the secret from %#v.
func (c Credential) GoString() string { return c.String() }

// matches reports whether the credential is for this address. Without a port
// in the entry any port of the host matches, as in apt.
func (c Credential) matches(u *url.URL) bool {
	if !strings.EqualFold(c.Scheme, u.Scheme) {
		return false
	}
	if !strings.EqualFold(c.Host, u.Host) && !strings.EqualFold(c.Host, u.Hostname()) {
		return false
	}
	if c.Path == "" || c.Path == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(u.Path, strings.TrimSuffix(c.Path, "/"))
	return ok && (strings.HasSuffix(c.Path, "/") && strings.HasPrefix(rest, "/") || rest == "" || rest[0] == '/')
}

// maxAuthTokens bounds one file.
const maxAuthTokens = 1 << 16

// ParseAuth reads the netrc-like text of apt's auth.conf: entries of machine,
// login and password in any layout, comments from "#" at a line's start. An
// entry without a scheme is for https only, as in apt. The error never quotes
// the text.
func ParseAuth(text string) ([]Credential, error) {
	var tokens []string
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		tokens = append(tokens, strings.Fields(line)...)
		if len(tokens) > maxAuthTokens {
			return nil, errors.New("reading credentials: the file is too long")
		}
	}
	var list []Credential
	for i := 0; i < len(tokens); i += 2 {
		if i+1 == len(tokens) {
			return nil, errors.New("reading credentials: the last word has no value")
		}
		key, value := tokens[i], tokens[i+1]
		if key == "machine" {
			list = append(list, parseMachine(value))
			continue
		}
		if len(list) == 0 {
			return nil, errors.New("reading credentials: the first word is not machine")
		}
		entry := &list[len(list)-1]
		switch key {
		case "login":
			entry.Login = value
		case "password":
			entry.Password = value
		case "account": // of netrc, meaningless here
		default:
			return nil, errors.New("reading credentials: expected machine, login or password")
		}
	}
	return list, nil
}

func parseMachine(s string) Credential {
	c := Credential{Scheme: "https"}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		c.Scheme, s = strings.ToLower(scheme), rest
	}
	c.Host = s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		c.Host, c.Path = s[:i], s[i:]
	}
	return c
}
