package machine

import (
	"fmt"
	"strings"
)

// secretShapes are texts that are secrets wherever they stand.
var secretShapes = []struct {
	what    string
	pattern *lazyPattern
}{
	{"a private key", newPattern(`-----BEGIN [A-Z0-9 ]*PRIVATE KEY( BLOCK)?-----`)},
	{"an age key", newPattern(`AGE-SECRET-KEY-1[0-9A-Z]{20,}`)},
	{"an AWS access key", newPattern(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
	{"a GitHub token", newPattern(`\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,})`)},
	{"a GitLab token", newPattern(`\bglpat-[A-Za-z0-9_-]{20,}`)},
	{"a Slack token", newPattern(`\bxox[abeoprs]-[A-Za-z0-9-]{10,}`)},
	{"a payment key", newPattern(`\b[sr]k_live_[A-Za-z0-9]{16,}`)},
	{"an API key", newPattern(`\b(AIza[0-9A-Za-z_-]{35}|npm_[A-Za-z0-9]{36}|hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{32,})`)},
	{"a JSON web token", newPattern(`\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.`)},
	{"a password hash", newPattern(`\$(1|2[abxy]|5|6|7|y|gy|apr1|argon2id?|pbkdf2-sha(256|512))\$[./A-Za-z0-9,=$+-]{8,}`)},
	{"a WireGuard key", newPattern(`(?i)\b(privatekey|presharedkey)\s*=\s*[A-Za-z0-9+/]{42,43}=`)},
	{"a password in an address", newPattern(`[a-z][a-z0-9+.-]*://[^/\s:@]+:[^@\s/$<{*]+@`)},
	{"a password", newPattern(`(?i)\b(identified\s+by|password)\s+'[^'$<{]+'`)},
	{"a password", newPattern(`\b(echo|printf)\s+(-[a-z]+\s+)*['"]?[a-z_][a-z0-9_-]*:[^\s'"|$]+['"]?\s*\|\s*(\S*/)?chpasswd`)},
	{"a password", newPattern(`<<<\s*['"]?[a-z_][a-z0-9_-]*:[^\s'"|$]+`)},
	{"an access token", newPattern(`(?i)authorization:\s*(bearer|basic)\s+[A-Za-z0-9+/._=-]{8,}`)},
}

const secretWord = `(password|passwd|passphrase|secret|token|credentials?|api_?key|private_?key|access_?key|secret_?key|auth_?key|preshared_?key|psk)`

var (
	// secretKey is a key whose value is a secret.
	secretKey = newPattern(`(?i)(^|[a-z0-9/._-])` + secretWord + `([_-]?(again|confirm|verify|repeat))?$`)
	// secretLine is a line of a configuration or script that gives one.
	secretLine = newPattern(`(?im)^[ \t]*(?:export[ \t]+|set[ \t]+)?["']?[A-Za-z0-9_.-]*?` + secretWord + `["']?[ \t]*[:=][ \t]*["']?([^\s"';,]+)`)
	// noSecret is a value that stands for something else: a reference, a
	// path, a switch, an example.
	noSecret = newPattern(`(?i)^(\$|<|\{|%|/|\./|\*+$|@|(true|false|yes|no|on|off|none|null|nil|required|optional|prompt|ask|md5|sha\d+|scram-sha-256|locked|files?|env|pam|plain|login|x|!|\d)$|[a-z_]+\(|(hash|lmdb|cdb|file|env|texthash|proxy|mysql|pgsql|ldap):)`)
)

// secretText says what secret a text contains, "" if none is seen.
func secretText(text string) string {
	if len(text) < 6 {
		return ""
	}
	for _, s := range secretShapes {
		if s.pattern.MatchString(text) {
			return s.what
		}
	}
	for _, m := range secretLine.get().FindAllStringSubmatch(text, -1) {
		if value := m[len(m)-1]; !noSecret.MatchString(value) {
			return "a literal " + strings.ToLower(m[1])
		}
	}
	return ""
}

// findSecrets reports what looks like a secret in a tree of values, never
// showing it. Guessing has limits: it finds what people paste, not what they
// hide.
func findSecrets(c *collector, n *node, path string) {
	switch n.kind {
	case mapKind:
		for _, p := range n.pairs {
			findSecrets(c, p.value, join(path, p.key))
		}
	case listKind:
		for i, it := range n.items {
			findSecrets(c, it, join(path, fmt.Sprint(i)))
		}
	case stringKind, intKind:
		if what := secretValue(n, path); what != "" {
			c.add(Problem{Pos: n.pos, Key: path, Message: fmt.Sprintf("%s looks like %s, and secrets never stand in a definition", path, what), Hint: adviseSecret(path)})
		}
	}
}

// secretValue says what secret a value is, by its key or by itself.
func secretValue(n *node, path string) string {
	last := path
	if strings.HasPrefix(path, "debconf.") {
		last = strings.TrimPrefix(path, "debconf.")
	} else if at := strings.LastIndexByte(path, '.'); at >= 0 {
		last = path[at+1:]
	}
	if secretKey.MatchString(last) && n.text != "" && !noSecret.MatchString(n.text) {
		return "a literal secret"
	}
	return secretText(n.text)
}

// isSecret tells whether a value must not be shown.
func isSecret(n *node, path string) bool {
	return (n.kind == stringKind || n.kind == intKind) && secretValue(n, path) != ""
}

// adviseSecret names the keys that take a reference instead.
func adviseSecret(path string) string {
	switch {
	case strings.HasPrefix(path, "files."):
		return "write secret: {file: PATH} or secret: {env: NAME} instead of content"
	case strings.HasPrefix(path, "users."):
		return "write password: {hash_file: PATH} or password: {hash_env: NAME}"
	case strings.Contains(path, "login"):
		return "write password: {file: PATH} or password: {env: NAME}"
	}
	return "put it into a file (files: with secret: {file: PATH} or secret: {env: NAME}) and refer to that"
}
